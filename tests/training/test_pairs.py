"""Training sets: what is left out, how splits are made, and that nothing leaks between them."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.errors import SpecError
from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import FieldPairs, Split, Training
from vector_assets.training import duplicates
from vector_assets.training.duplicates import resembling, three_grams
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.pairs import pairs_from_rows


def _training(**changes: object) -> Training:
    values: dict[str, object] = {
        "pairs": FieldPairs(query="q", min_words=2),
        "split": Split(by="g", validation=["v"], test=["t"]),
    }
    return Training.model_validate(values | changes)


def _rows(group: str, count: int) -> list[PairRow]:
    return [
        PairRow(f'["{group}{n}"]', f"{group} asks number{n}", f"{group} answers {group}{n} in{group}{n} full{n}", group)
        for n in range(count)
    ]


def _plain(training_set: TrainingSet) -> dict[str, int]:
    return {name: count for name, count in training_set.report.items() if count}


def test_unusable_rows_are_left_out_and_counted() -> None:
    rows = [
        *_rows("a", 4), *_rows("v", 2), *_rows("t", 2),
        PairRow("1", " ", "x y z", "a"), PairRow("2", "one", "x y z", "a"), PairRow("3", "two words", "\n", "a"),
        PairRow("4", "a asks  number0", "a answers a0\nina0 full0", "a"),
        PairRow("~", "a  asks number1", "a answers a1\nina1 full1", "a"),
    ]  # fmt: skip
    found = pairs_from_rows(rows, _training())
    assert _plain(found) == {
        "rows": 13, "empty_query": 1, "short_query": 1, "empty_document": 1, "duplicate": 2,
        "train": 4, "validation": 2, "test": 2,
    }  # fmt: skip
    assert {pair.key for pair in found.split("validation")} == {'["v0"]', '["v1"]'}


def test_pairs_of_a_file_may_ask_in_one_word() -> None:
    rows = [PairRow("", f"{group}{n}", f"document {n} of {group}", group) for group in "avt" for n in range(3)]
    assert pairs_from_rows(rows, _training(pairs="pairs.jsonl")).report["train"] == 3


def test_an_unknown_group_names_the_known_ones() -> None:
    rows = [*_rows("a", 4), *_rows("v", 2)]
    with pytest.raises(SpecError, match=r"train\.split\.test: no usable pair has g = 't' \(groups found: a, v\)"):
        pairs_from_rows(rows, _training())


def test_a_split_without_pairs_is_told_with_what_was_left_out() -> None:
    same = [PairRow(row.key + "x", row.query, "entirely other words here", "a") for row in _rows("t", 3)]
    with pytest.raises(SpecError, match=r"0 pairs in train.*near_duplicate_train 3"):
        pairs_from_rows([*same, *_rows("v", 2), *_rows("t", 3)], _training())


def test_near_duplicates_leave_train_by_query_or_document_and_validation_by_test() -> None:
    text = "compute the mean of all the values that are not missing along one axis of the table"
    near = text.replace("one axis", "an axis")
    rows = [
        *_rows("a", 3), *_rows("v", 3), *_rows("t", 3),
        PairRow("t9", text, "w1 w2 w3 w4", "t"),
        PairRow("v9", near, "u1 u2 u3 u4", "v"),
        PairRow("a8", text, "s1 s2 s3 s4", "a"),
        PairRow("a9", "other question here", "w1 w2 w3 w4", "a"),
    ]  # fmt: skip
    found = pairs_from_rows(rows, _training(split=Split(by="g", validation=["v"], test=["t"], duplicates=0.6)))
    assert found.report["near_duplicate_validation"] == 1 and found.report["near_duplicate_train"] == 2
    assert {pair.key for pair in found.pairs} >= {"t9"} and not {"v9", "a8", "a9"} & {pair.key for pair in found.pairs}


@pytest.mark.parametrize("held_out", ["v", "t"])
def test_a_near_duplicate_of_either_held_out_split_leaves_train(held_out: str) -> None:
    twin = PairRow("twin", "what was asked by both", "an answer of its own", held_out)
    rows = [*_rows("a", 3), *_rows("v", 3), *_rows("t", 3), twin]
    found = pairs_from_rows([*rows, PairRow("a9", twin.query, "entirely other words here", "a")], _training())
    assert found.report["near_duplicate_train"] == 1
    assert {pair.key for pair in found.pairs if pair.query == twin.query} == {"twin"}


def test_cosine_of_three_grams_by_hand() -> None:
    assert three_grams("One two, three four") == ["one two three", "two three four"]
    assert three_grams("Two words") == ["two words"] and three_grams("!?") == ["!?"]
    # a b c d e has 3 grams, a b c d has 2, both of them shared
    cosine = 2 / math.sqrt(3 * 2)
    assert resembling(["a b c d e"], ["a b c d"], cosine - 0.001).tolist() == [True]
    assert resembling(["a b c d e"], ["a b c d"], cosine + 0.001).tolist() == [False]
    assert resembling(["x", "y"], [], 0.5).tolist() == [False, False]
    # a 3-gram that stands twice counts once: 1 / sqrt(2), not 1 / sqrt(5)
    assert resembling(["x x x x y"], ["x x y"], 0.7).tolist() == [True]


def test_every_block_of_texts_is_compared() -> None:
    texts = [f"one{n} two{n} three{n}" for n in range(1100)]
    assert [n for n, alike in enumerate(resembling(texts, [texts[0], texts[700], texts[1099]], 0.9)) if alike] == [
        0, 700, 1099
    ]  # fmt: skip


def test_blocks_shrink_where_there_is_much_to_compare_with(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, others = [f"all of them say {n % 40}" for n in range(90)], [f"all of them say {n}" for n in range(0, 60, 3)]
    wanted = [n % 40 % 3 == 0 for n in range(90)]
    assert resembling(texts, others, 0.9).tolist() == wanted
    monkeypatch.setattr(duplicates, "_CELLS", 1)
    assert resembling(texts, others, 0.9).tolist() == wanted


def test_caps_draw_by_seed_and_keep_what_smaller_caps_kept() -> None:
    rows = [*_rows("a", 40), *_rows("v", 9), *_rows("t", 9)]
    small, large = (pairs_from_rows(rows, _training(max_pairs=most, max_validation=5, max_test=5)) for most in (10, 20))
    assert (small.report["train"], small.report["validation"], small.report["test"]) == (10, 5, 5)
    assert small.report["over_cap_train"] == 30 and small.report["over_cap_test"] == 4
    assert set(small.split("train")) < set(large.split("train"))
    assert small.split("test") == large.split("test")
    assert pairs_from_rows(rows, _training(max_pairs=10, max_validation=5, max_test=5, seed=1)).digest != small.digest


def test_the_digest_is_of_the_pairs_and_not_of_their_order() -> None:
    rows = [*_rows("a", 9), *_rows("v", 3), *_rows("t", 3)]
    shuffled = random.Random(0).sample(rows, len(rows))
    first = pairs_from_rows(rows, _training())
    assert pairs_from_rows(shuffled, _training()) == first
    changed = [PairRow(rows[0].key, rows[0].query + " more", rows[0].document, rows[0].group), *rows[1:]]
    assert pairs_from_rows(changed, _training()).digest != first.digest


def test_the_digest_is_of_the_splits_as_well() -> None:
    rows = [*_rows("a", 3), *_rows("v", 3), *_rows("w", 3), *_rows("x", 3)]
    first, second = (
        pairs_from_rows(rows, _training(split=Split(by="g", validation=["v", *more], test=["x", *others])))
        for more, others in ((["w"], []), ([], ["w"]))
    )
    assert [pair.key for pair in first.pairs] == [pair.key for pair in second.pairs]
    assert first.digest != second.digest


def test_shares_split_whole_groups_stably() -> None:
    rows = [
        PairRow("", f"question {g} {n}", f"answer w{g} w{n} w{g * n}", f"group{g}")
        for g in range(200)
        for n in range(3)
    ]
    training = _training(split=Split(by="g", validation=0.2, test=0.1))
    found = pairs_from_rows(rows, training)
    where = {pair.group: pair.split for pair in found.pairs}
    sizes = {name: sum(split == name for split in where.values()) / 200 for name in ("train", "validation", "test")}
    assert sizes["validation"] == pytest.approx(0.2, abs=0.1) and sizes["test"] == pytest.approx(0.1, abs=0.06)
    fewer = pairs_from_rows(rows[:300], training)
    assert all(where[pair.group] == pair.split for pair in fewer.pairs)  # new groups move no old one
    other = pairs_from_rows(rows, _training(split=training.split, seed=1))
    assert any(where[pair.group] != pair.split for pair in other.pairs), "another seed holds others out"


def test_rows_without_a_group_are_their_own() -> None:
    rows = [PairRow(f"[{n}]", f"question w{n} x{n}", f"answer y{n} z{n} v{n}") for n in range(100)]
    found = pairs_from_rows(rows, _training(split=Split(validation=0.2, test=0.2)))
    assert len({pair.group for pair in found.pairs}) == 100


def _labelled(**changes: object) -> Training:
    split = Split(by="g", validation=["v"], test=["t"])
    return Training.model_validate({"objective": "triplet", "labels": "kind", "split": split} | changes)


def _texts(group: str, count: int, labels: int = 2) -> list[PairRow]:
    return [
        PairRow(f'["{group}{n}"]', "", f"{group} says {group}{n} in{group}{n}", group, f"kind {n % labels}")
        for n in range(count)
    ]


def test_labelled_texts_without_a_label_or_with_two_are_left_out_and_counted() -> None:
    rows = [
        *_texts("a", 6), *_texts("v", 4), *_texts("t", 4),
        PairRow("1", "", "no label here", "a", " "), PairRow("2", "", " ", "a", "kind 1"),
        PairRow("3", "", "what is this", "a", "kind 0"), PairRow("4", "", "what  is this", "a", "kind 1"),
        PairRow("5", "", "what is\nthis", "v", "kind 0"), PairRow("6", "", "a says a0  ina0", "a", "kind 0"),
    ]  # fmt: skip
    found = pairs_from_rows(random.Random(1).sample(rows, len(rows)), _labelled())
    assert _plain(found) == {
        "rows": 20, "no_label": 1, "empty_document": 1, "two_labels": 3, "duplicate": 1, "labels": 2,
        "train": 6, "validation": 4, "test": 4,
    }  # fmt: skip
    assert pairs_from_rows(rows, _labelled()).digest == found.digest
    other = [replace(row, label="kind 1") if row.key == '["a0"]' else row for row in rows]
    assert pairs_from_rows(other, _labelled()).digest != found.digest, "labels are part of the digest"


def test_whole_labels_can_be_held_out_and_are_counted() -> None:
    rows = [PairRow(f"[{n}]", "", f"x{n} y{n} z{n}", f"kind {n % 4}", f"kind {n % 4}") for n in range(24)]
    split = Split(by="kind", validation=["kind 2"], test=["kind 3"])
    found = pairs_from_rows(rows, _labelled(split=split))
    assert found.report["unseen_label_validation"] == found.report["unseen_label_test"] == 6
    assert {pair.label for pair in found.split("train")} == {"kind 0", "kind 1"}


def test_labels_that_teach_nothing_are_refused() -> None:
    held_out = [*_texts("v", 4), *_texts("t", 4)]
    with pytest.raises(SpecError, match=r"1 label in train \(kind 0\); at least 2"):
        pairs_from_rows([*_texts("a", 6, labels=1), *held_out], _labelled())
    with pytest.raises(SpecError, match="every label stands once in train"):
        pairs_from_rows([*_texts("a", 6, labels=6), *held_out], _labelled())
    with pytest.raises(SpecError, match="no label stands twice in test"):
        pairs_from_rows([*_texts("a", 6), *_texts("v", 4), *_texts("t", 4, labels=4)], _labelled())


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.text("abcd ", max_size=12), st.sampled_from("xyz"), st.sampled_from("abvt")), max_size=60),
    st.sampled_from([0.5, 0.8]),
)
def test_nothing_leaks_between_splits_of_labelled_texts(items: list[tuple[str, str, str]], threshold: float) -> None:
    rows = [PairRow(str(n), "", " ".join(text), group, label) for n, (text, label, group) in enumerate(items)]
    try:
        found = pairs_from_rows(
            rows, _labelled(split=Split(by="g", validation=["v"], test=["t"], duplicates=threshold))
        )
    except SpecError:
        return
    for ours, theirs in _apart(found):
        assert all(_cosine(a.document, b.document) < threshold for a in ours for b in theirs)


def test_images_that_look_alike_do_not_stand_on_both_sides() -> None:
    """Names say nothing; hashes that differ in four bits are one image from ``image_bits`` 4 on."""
    rows = [replace(row, document=f"name{n}", looks=0xFF << 8 * (n % 8)) for n, row in enumerate(_texts("a", 4))]
    rows += [replace(row, document=f"v{n}", looks=0xFF << 32 + 8 * n) for n, row in enumerate(_texts("v", 2, 1))]
    rows += [replace(row, document=f"t{n}", looks=0xFF << 48 + 8 * n) for n, row in enumerate(_texts("t", 2, 1))]
    twins = [PairRow(f"[{n}]", "", f"twin{n}", "a", "kind 1", looks=0xFF << 32 + 8 * n ^ 0b1111) for n in range(4)]
    for bits, left in ((3, 0), (4, 4)):
        split = Split(by="g", validation=["v"], test=["t"], image_bits=bits)
        found = pairs_from_rows([*rows, *twins], _labelled(split=split))
        assert found.report["near_duplicate_train"] == left
        assert sum(pair.document.startswith("twin") for pair in found.split("train")) == 4 - left


words = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=2, max_size=7).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(words, words, st.sampled_from("abcdvt")), min_size=6, max_size=60),
    st.sampled_from([0.5, 0.8, 0.95]),
    st.booleans(),
)
def test_nothing_leaks_between_splits(items: list[tuple[str, str, str]], threshold: float, named: bool) -> None:
    rows = [PairRow(str(n), query, document, group) for n, (query, document, group) in enumerate(items)]
    shares: tuple[object, object] = (["v"], ["t"]) if named else (0.3, 0.3)
    split = Split.model_validate({"by": "g", "validation": shares[0], "test": shares[1], "duplicates": threshold})
    try:
        found = pairs_from_rows(rows, _training(split=split))
    except SpecError:
        return
    for ours, theirs in _apart(found):
        for field in ("query", "document"):
            for mine in ours:
                assert all(_cosine(getattr(mine, field), getattr(pair, field)) < threshold for pair in theirs)


def _apart(found: TrainingSet) -> Iterator[tuple[Sequence[Pair], Sequence[Pair]]]:
    """Yield each two splits, which have no group in common."""
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    for one, other in itertools.combinations(splits, 2):
        ours, theirs = found.split(one), found.split(other)
        assert not {pair.group for pair in ours} & {pair.group for pair in theirs}
        yield ours, theirs


def _cosine(a: str, b: str) -> float:
    left, right = set(three_grams(a)), set(three_grams(b))
    return len(left & right) / math.sqrt(len(left) * len(right))
