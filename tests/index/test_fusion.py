"""Fusion: RRF and the weighted sum by hand, the weight by questions, and never below the better part."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from vector_assets.index.fusion import LEAST_QUESTIONS, RRF_K, Found, Fusion, by_places, by_sum, fit
from vector_assets.metrics import ndcg_at_k

ONE = Found("q", [("a", 0.9), ("b", 0.7), ("c", 0.4)], [("c", 6.0), ("d", 3.0), ("a", 1.0)], {"a": 1.0})
EVEN = Fusion(0.5, 0.1, 2.0, 20, {}, "")


def test_rrf_by_hand() -> None:
    wanted = {
        "a": 1 / (RRF_K + 1) + 1 / (RRF_K + 3),
        "c": 1 / (RRF_K + 3) + 1 / (RRF_K + 1),
        "b": 1 / (RRF_K + 2),
        "d": 1 / (RRF_K + 2),
    }
    found = by_places(ONE)
    assert [key for key, _ in found] == ["a", "c", "b", "d"], "equal scores by key"
    assert dict(found) == pytest.approx(wanted)


def test_the_weighted_sum_by_hand() -> None:
    """d was not found by the vectors and counts as their last, 0.4; b has none of the words and counts 0."""
    found = by_sum(ONE, EVEN)
    wanted = {"a": 4.5 + 0.25, "b": 3.5, "c": 2.0 + 1.5, "d": 2.0 + 0.75}
    assert dict(found) == pytest.approx(wanted)
    assert found[0][0] == "a"
    assert [key for key, _ in by_sum(ONE, replace(EVEN, weight=0.0))] == ["a", "b", "c", "d"]
    assert [key for key, _ in by_sum(ONE, replace(EVEN, weight=1.0))] == ["c", "d", "a", "b"]
    assert by_sum(Found("q", [], [("x", 2.0)], {}), EVEN) == [("x", 0.5)]


def asked(number: int, *, vector: float, bm25: float) -> Found:
    """20 rows, one of them the answer; a part's quality is how far it lifts the answer above its noise."""
    random = np.random.default_rng(number)
    noise = random.normal(size=(2, 20))
    answer = int(random.integers(20))
    noise[:, answer] += (vector, bm25)
    parts = [
        sorted(((f"r{row}", float(value) * scale + 9 * scale) for row, value in enumerate(each)), key=lambda x: -x[1])
        for each, scale in zip(noise, (0.05, 3.0), strict=True)
    ]
    return Found(f"q{number}", parts[0], parts[1], {f"r{answer}": 1.0})


def mean(found: list[Found], fusion: Fusion | None = None, part: str = "") -> float:
    rankings = [by_sum(one, fusion) if fusion else getattr(one, part) for one in found]
    scores = [ndcg_at_k([k for k, _ in r], one.relevant, 10) for r, one in zip(rankings, found, strict=True)]
    return float(np.mean(scores))


def test_two_equal_parts_get_equal_weights_and_beat_both_on_other_questions() -> None:
    learned = fit([asked(number, vector=1.5, bm25=1.5) for number in range(300)])
    assert learned is not None
    assert learned.weight == pytest.approx(0.5, abs=0.15)
    assert learned.vector_scale == pytest.approx(0.05, rel=0.2), "the spread within a question"
    assert learned.bm25_scale == pytest.approx(3.0, rel=0.2)
    others = [asked(number, vector=1.5, bm25=1.5) for number in range(1000, 1300)]
    assert mean(others, learned) > max(mean(others, part="vector"), mean(others, part="bm25")) + 0.05
    assert learned.scores["calibrated"] > learned.scores["vector"] + 0.05


@pytest.mark.parametrize(("vector", "bm25", "weight"), [(2.0, -1.5, 0.0), (-1.5, 2.0, 1.0)])
def test_a_part_that_only_harms_gets_no_weight(vector: float, bm25: float, weight: float) -> None:
    learned = fit([asked(number, vector=vector, bm25=bm25) for number in range(200)])
    assert learned is not None
    others = [asked(number, vector=vector, bm25=bm25) for number in range(1000, 1300)]
    better = "bm25" if weight else "vector"
    assert mean(others, learned) >= mean(others, part=better) - 1e-9
    assert abs(learned.weight - weight) <= 0.1
    assert learned.scores["rrf"] < learned.scores[better], "where places alone are fused, the worse part does harm"


@pytest.mark.parametrize("seed", range(4))
def test_what_may_be_chance_is_left_to_the_better_part(seed: int) -> None:
    """BM25 is noise: some weight looks better on the questions at hand, and is not taken for it."""
    learned = fit([asked(1000 * seed + number, vector=2.5, bm25=0.0) for number in range(40)])
    assert learned is not None
    assert learned.weight == 0.0
    assert learned.reason.startswith("vector alone")


def test_too_few_questions_teach_nothing() -> None:
    few = [asked(number, vector=1.0, bm25=1.0) for number in range(LEAST_QUESTIONS - 1)]
    assert fit(few) is None
    assert fit([]) is None
    unanswered = [replace(one, relevant={"nowhere": 1.0}) for one in few]
    assert fit(few + unanswered) is None, "questions whose answer neither part found say nothing of the weight"
    assert fit([*few, asked(99, vector=1.0, bm25=1.0)]) is not None


def test_the_order_of_questions_and_a_part_that_found_nothing_change_nothing() -> None:
    found = [asked(number, vector=1.0, bm25=1.0) for number in range(30)]
    found += [replace(one, id=one.id + "x", bm25=[]) for one in found[:10]]
    first, again = fit(found), fit(found[::-1])
    assert first is not None
    assert again is not None
    assert (again.weight, again.reason) == (first.weight, first.reason)
    assert first == Fusion.of(json.loads(json.dumps(first.record() | {"more": 1})))
