"""What a report says of a classification, and where its pictures put vectors."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

from vector_assets.records import Pair
from vector_assets.training.classes import Confusion, class_scores, confusions, write_csv
from vector_assets.training.picture import MAX_PAIRS, Arm, _of_labels, _of_pairs, draw_vectors, lay_out
from vector_assets.training.report import draw_confusions
from vector_assets.training.retrieval import pool_of
from vector_assets.training.scoring import Classified

IMBALANCED = Classified(
    ("a",) * 90 + ("b",) * 8 + ("c",) * 2,
    ("a",) * 84 + ("b",) * 5 + ("d",) + ("b",) * 5 + ("a",) * 3 + ("a",) * 2,
)


def test_f1_of_each_label_and_their_mean_are_those_of_scikit_learn() -> None:
    found = class_scores(IMBALANCED)
    labels = sorted(one.label for one in found)
    wanted = f1_score(IMBALANCED.truth, IMBALANCED.said, labels=labels, average=None, zero_division=0)
    assert {one.label: one.f1 for one in found} == dict(zip(labels, wanted.tolist(), strict=True))
    macro = f1_score(IMBALANCED.truth, IMBALANCED.said, average="macro", zero_division=0)
    assert IMBALANCED.metrics["f1_macro"] == pytest.approx(macro) == pytest.approx(np.mean([one.f1 for one in found]))
    assert [one.label for one in found] == ["c", "d", "b", "a"], "the lowest first, equal ones by name"
    assert (found[2].texts, found[2].said, found[2].recall) == (8, 10, 5 / 8)


def test_the_most_frequent_confusion_stands_first() -> None:
    assert confusions(IMBALANCED) == [
        Confusion("a", "b", 5, 5 / 90), Confusion("b", "a", 3, 3 / 8), Confusion("c", "a", 2, 1.0),
        Confusion("a", "d", 1, 1 / 90),
    ]  # fmt: skip


def test_tables_can_be_read_back_and_have_a_header_when_empty(tmp_path: Path) -> None:
    path = write_csv(confusions(IMBALANCED), Confusion, tmp_path / "confusions.csv")
    with path.open() as file:
        rows = list(csv.DictReader(file))
    assert rows[1] == {"label": "b", "taken_for": "a", "texts": "3", "share": "0.375"}
    assert write_csv([], Confusion, path).read_text().strip() == "label,taken_for,texts,share"


@pytest.mark.parametrize("count", [2, 77])
def test_confusions_are_drawn_for_few_and_for_many_labels(tmp_path: Path, count: int) -> None:
    labels = [f"label number {n:02} with a name that is rather long" for n in range(count)]
    truth = tuple(labels[n % count] for n in range(500))
    said = tuple(labels[(n + (n % 7 == 0)) % count] for n in range(500))
    for classified in (Classified(truth, said), Classified(truth, truth)):
        path = draw_confusions(classified, tmp_path / "confusion.png")
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 10_000


def test_labelled_texts_of_the_most_frequent_labels_are_shown() -> None:
    pairs = [Pair("", f"t{n}", "", "test", label=f"l{n % 25:02}") for n in range(25 * 4 + 21)]
    shown = _of_labels(pool_of(pairs), 0)
    assert shown.left_out == 5 and sorted(set(shown.names)) == [f"l{n:02}" for n in range(20)]
    assert [f"l{place % 25:02}" for place in shown.documents] == list(shown.names) and not len(shown.queries)


def test_a_query_is_joined_with_its_answer() -> None:
    pairs = [Pair(f"q{n}", f"d{n % 40}", f"g{n % 4}", "test") for n in range(200)]
    pool = pool_of(pairs)
    shown = _of_pairs(pool, [f"g{n % 4}" for n in range(40)], 0)
    assert len(shown.queries) == MAX_PAIRS == len(shown.links)
    vectors = [*(f"d{d}" for d in shown.documents), *(pool.queries[q].text for q in shown.queries)]
    for query, document in shown.links:
        number = int(vectors[query][1:])
        assert vectors[document] == f"d{number % 40}" and shown.names[query] == f"g{number % 4}"
    assert set(_of_pairs(pool, [str(n) for n in range(40)], 0).names) == {""}, "too many groups to tell apart"


@pytest.mark.parametrize("count", [30, 120])
def test_two_heaps_of_vectors_are_two_heaps_in_the_plane(count: int) -> None:
    generator = np.random.default_rng(0)
    vectors = generator.normal(0, 0.1, (count, 16)).astype(np.float32)
    vectors[:, 0] += np.where(np.arange(count) % 2, 1, -1)
    points = lay_out(vectors)
    assert points.shape == (count, 2) and np.array_equal(points, lay_out(vectors)), "the seed fixes them"
    near = np.linalg.norm(points[:, None] - points[None], axis=2) + np.diag(np.full(count, np.inf))
    assert np.mean(near.argmin(1) % 2 == np.arange(count) % 2) == 1


def test_the_same_texts_are_drawn_before_and_after(tmp_path: Path) -> None:
    pairs = [Pair(f"q{n}", f"d{n}", f"g{n % 3}", "test") for n in range(12)]
    generator = np.random.default_rng(0)
    arm = Arm("base", generator.normal(size=(12, 8)).astype(np.float32), generator.normal(size=(12, 8)))
    path = draw_vectors(pool_of(pairs), [pair.group for pair in pairs], arm, arm, tmp_path / "vectors.png")
    assert path and path.read_bytes().startswith(b"\x89PNG")
    one = dataclasses.replace(arm, documents=arm.documents[:1], queries=arm.queries[:1])
    assert draw_vectors(pool_of(pairs[:1]), ["g"], one, one, tmp_path / "one.png") is None
