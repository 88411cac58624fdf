"""The four types of task: each metric against numbers worked out by hand, and the shape of a result."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fakes import KeywordEncoder

from vector_assets.index.scores import (
    Classification,
    Clustering,
    Reading,
    Retrieval,
    Sts,
    as_result,
    classification_scores,
    clustering_scores,
    main_score,
    numbers_of,
    retrieval_scores,
    sts_scores,
)
from vector_assets.index.scores.classification import drawn
from vector_assets.records import JudgedQuery
from vector_assets.source.scored import Labelled, ScoredPairs


def unit(*degrees: float) -> np.ndarray:
    """Vectors of the plane at these angles."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_retrieval_of_three_rows_by_hand() -> None:
    # The query is at 0 degrees, rows at 10, 20 and 30: found in the order a, b, c.
    judged = [JudgedQuery("one", "", {'["c"]': 1.0, '["b"]': 2.0}), JudgedQuery("two", "", {'["a"]': 1.0})]
    found = retrieval_scores(unit(0, 0), judged, [("a",), ("b",), ("c",)], unit(10, 20, 30))
    # one: gains 0, 2, 1 at ranks 1, 2, 3; the best order is 2, 1. two: found first.
    ndcg = (2 / math.log2(3) + 1 / math.log2(4)) / (2 + 1 / math.log2(3))
    assert found["ndcg_at_10"] == found["main_score"] == pytest.approx((ndcg + 1) / 2)
    assert found["mrr_at_10"] == pytest.approx((1 / 2 + 1) / 2)
    assert found["recall_at_1"] == pytest.approx((0 + 1) / 2) and found["recall_at_3"] == 1.0
    assert found["map_at_100"] == pytest.approx(((1 / 2 + 2 / 3) / 2 + 1) / 2)
    assert (found["queries"], found["documents"]) == (2, 3)


def test_classification_of_two_directions_by_hand() -> None:
    # Six texts of test: the boundary lies at 45 degrees, so 80 degrees labelled "east" is the one mistake.
    train, labels = unit(0, 5, 85, 90), ["east", "east", "north", "north"]
    test, truth = unit(1, 10, 20, 80, 80, 89), ["east", "east", "east", "east", "north", "north"]
    found = classification_scores(train, labels, test, truth, shots=2, draws=3)
    assert found["accuracy"] == found["main_score"] == pytest.approx(5 / 6)
    # east: precision 3/3, recall 3/4; north: precision 2/3, recall 2/2.
    east, north = 2 * 1 * 0.75 / 1.75, 2 * (2 / 3) / (2 / 3 + 1)
    assert found["f1"] == pytest.approx((east + north) / 2)
    assert found["f1_weighted"] == pytest.approx((4 * east + 2 * north) / 6)
    assert len(found["scores_per_experiment"]) == 3 and found["accuracy_std"] == 0.0  # type: ignore[arg-type]


def test_a_draw_takes_so_many_texts_of_each_label_and_another_seed_others() -> None:
    labels = np.array(["a"] * 30 + ["b"] * 3 + ["c"] * 30)
    first, again, other = (drawn(labels, shots=8, seed=seed) for seed in (0, 0, 1))
    assert [int((labels[first] == label).sum()) for label in "abc"] == [8, 3, 8] and len(set(first)) == 19
    assert first.tolist() == again.tolist() and set(first) != set(other)


def test_clustering_by_hand() -> None:
    # Two tight groups. Labels that follow them: 1. Labels of which each group has as many of either kind: 0.
    vectors = unit(*(start + step for start in (0, 90) for step in (0, 0.1, 0.2, 0.3)))
    assert clustering_scores(vectors, ["a"] * 4 + ["b"] * 4)["v_measure"] == pytest.approx(1.0)
    assert clustering_scores(vectors, ["a", "b"] * 4)["v_measure"] == pytest.approx(0.0, abs=1e-9)
    # Two clusters of two labels; the clusters are pure, and label b lies in both.
    pairs = unit(0, 0.1, 90, 90.1)
    found = clustering_scores(pairs, ["a", "b", "b", "b"], draws=4)
    # H(label) of 1/4 and 3/4; given the cluster, one bit in the first half; H(cluster) is one bit.
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    homogeneity = 1 - 0.5 * math.log(2) / entropy
    given_label = 0.75 * -(1 / 3 * math.log(1 / 3) + 2 / 3 * math.log(2 / 3))
    completeness = 1 - given_label / math.log(2)
    v_measure = 2 * homogeneity * completeness / (homogeneity + completeness)
    assert found["v_measure"] == found["main_score"] == pytest.approx(v_measure)
    assert len(found["v_measures"]) == 4 and found["v_measure_std"] == 0.0  # type: ignore[arg-type]


def test_sts_by_hand() -> None:
    # Cosines of 1, 1/2, 0 and -1 against scores 5, 3, 4, 0: ranks 4 3 2 1 and 4 2 3 1.
    found = sts_scores(unit(0, 0, 0, 0), unit(0, 60, 90, 180), [5, 3, 4, 0])
    assert found["cosine_spearman"] == found["main_score"] == pytest.approx(1 - 6 * (0 + 1 + 1 + 0) / (4 * 15))
    x, y = np.array([1, 0.5, 0, -1]) - 0.125, np.array([5, 3, 4, 0]) - 3
    assert found["cosine_pearson"] == pytest.approx((x * y).sum() / math.sqrt((x**2).sum() * (y**2).sum()), abs=1e-6)
    # Two scores only: equal ones share their mean rank, 1.5 and 3.5.
    ranks = np.array([4, 3, 2, 1]) - 2.5, np.array([3.5, 3.5, 1.5, 1.5]) - 2.5
    tied = (ranks[0] * ranks[1]).sum() / math.sqrt((ranks[0] ** 2).sum() * (ranks[1] ** 2).sum())
    assert sts_scores(unit(0, 0, 0, 0), unit(0, 60, 90, 180), [1, 1, 0, 0])["main_score"] == pytest.approx(tied)
    assert sts_scores(unit(0, 0), unit(0, 0), [1, 0])["main_score"] == 0.0  # all cosines are equal


def test_tasks_read_documents_once_and_questions_as_questions() -> None:
    # Questions have their axes turned by one, so an owl asks for what a dog is.
    encoder = KeywordEncoder(order=[1, 2, 3, 0, 4])
    reading = Reading(encoder)
    animals = Labelled(("a cat", "a dog", "two cats", "two dogs"), ("cat", "dog", "cat", "dog"))
    assert Classification(animals, animals, shots=2, draws=2).score(reading)["accuracy"] == 1.0
    assert Clustering(animals, draws=2).score(reading)["v_measure"] == 1.0
    pairs = ScoredPairs(("a cat", "a dog"), ("two cats", "a cat"), (1.0, 0.0))
    assert Sts(pairs).score(reading)["cosine_pearson"] == pytest.approx(1.0)
    judged = (JudgedQuery("q", "an owl", {'["d"]': 1.0}),)
    found = Retrieval(judged, (("c",), ("d",), ("o",)), ("a cat", "a dog", "an owl"), 9).score(reading)
    assert found["ndcg_at_1"] == 1.0
    assert sorted(encoder.encoded) == ["a cat", "a dog", "an owl", "two cats", "two dogs"]
    many = Labelled((*(f"a cat {n}" for n in range(50)), "a dog", "two dogs"), ("cat",) * 50 + ("dog",) * 2)
    assert Classification(many, animals, shots=2, draws=3).score(reading)["accuracy"] == 1.0
    assert len(encoder.encoded) <= 5 + 2 * 3  # what no draw took was not encoded
    assert found["rows"] == 9 and found["documents"] == 3


def test_another_text_label_or_protocol_is_another_revision() -> None:
    base = Labelled(("a", "b"), ("x", "y"))
    task = Classification(base, base)
    others = [
        Classification(Labelled(("a", "c"), ("x", "y")), base), Classification(base, Labelled(("a", "b"), ("x", "z"))),
        Classification(base, base, shots=4), Classification(base, base, seed=1), Clustering(base),
        Sts(ScoredPairs(("a",), ("b",), (1.0,))), Sts(ScoredPairs(("a",), ("b",), (2.0,))),
    ]  # fmt: skip
    assert len({task.revision, *(other.revision for other in others)}) == 8
    assert Classification(base, base).revision == task.revision


def test_a_result_has_the_shape_of_mteb() -> None:
    scores = {"accuracy": 0.5, "main_score": 0.5, "scores_per_experiment": [{"accuracy": 0.5}]}
    result = as_result("Intents", "abc", scores, languages=["eng-Latn"], seconds=1.23456)
    assert result == {
        "dataset_revision": "abc",
        "task_name": "Intents",
        "mteb_version": None,
        "scores": {"test": [{**scores, "hf_subset": "default", "languages": ["eng-Latn"]}]},
        "evaluation_time": 1.235,
        "kg_co2_emissions": None,
    }
    assert main_score(result) == 0.5
    assert numbers_of(result) == {"accuracy": 0.5, "main_score": 0.5, "evaluation_time": 1.235}
