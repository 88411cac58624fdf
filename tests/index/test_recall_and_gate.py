"""Recall by hand, the width that keeps it, the gate's every branch, and what blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vector_assets.index.decide import decide, decide_first
from vector_assets.index.integrity import check_canaries_found, check_coverage, check_norms, check_recall
from vector_assets.index.lexical import bm25_rankings
from vector_assets.index.recall import Found, choose_ef_search, lower_bound, measure_recall, questions_of, recall_at_k
from vector_assets.index.retrieve import exact_rankings
from vector_assets.index.size_planner import EF_SEARCH
from vector_assets.metrics import evaluate, ranked
from vector_assets.records import Comparison, JudgedQuery


def test_the_mean_is_met_by_its_lower_bound() -> None:
    exact = [[0.1] for _ in range(100)]
    one_missed = [[0.1] for _ in range(99)] + [[0.9]]  # mean .99, from one in a hundred

    def search(width: int | None) -> Found:
        return Found(exact if width is None or width >= 80 else one_missed)

    *_, chosen = choose_ef_search(search, recall=0.98, worst_recall=None)
    assert (chosen.ef_search, chosen.mean) == (80, 1.0), "one of a hundred may be three of the next"
    assert choose_ef_search(search, recall=0.94, worst_recall=None)[-1].ef_search == 40


def test_the_bound_of_the_mean_keeps_its_promise_where_few_queries_miss_all() -> None:
    """Of draws with a known mean about one in twenty has a bound above it; by the normal bound it is twice as many."""
    draw = np.random.default_rng(0)
    true, above, above_by_normal = 1 - 0.02 * 0.75 - 0.98 * 0.005, 0, 0
    for _ in range(300):
        each = 1 - np.where(draw.random(500) < 0.02, 0.75, draw.binomial(10, 0.005, 500) / 10)
        bound = lower_bound(list(each))
        assert bound < each.mean()
        above += bound > true
        above_by_normal += each.mean() - 1.645 * each.std() / math.sqrt(500) > true
    assert above <= 24 and above < above_by_normal
    assert lower_bound([1.0] * 50) == 1.0 and lower_bound([]) == 1.0 and lower_bound([0.5]) == 0.5
    assert lower_bound([0.0, 1.0]) <= 0.5
    assert lower_bound(list(each)) == lower_bound(list(each)), "the same measurement chooses the same width"


def test_recall_counts_distances_not_names() -> None:
    assert recall_at_k([0.1, 0.2], [0.1, 0.2]) == 1
    assert recall_at_k([0.1, 0.9], [0.1, 0.2]) == 0.5
    assert recall_at_k([0.2, 0.2], [0.1, 0.2]) == 1, "as near as the last is as good"
    assert recall_at_k([0.1 + 5e-7, 0.2 + 5e-7], [0.1, 0.2]) == 1, "another order of adding"
    assert recall_at_k([0.1], [0.1, 0.2]) == 0.5
    assert recall_at_k([], [0.1]) == 0
    assert recall_at_k([], []) == 1
    assert recall_at_k([0.1, 0.1, 0.1], [0.1]) == 1, "never above 1"


def test_recall_is_a_mean_and_a_worst_with_its_bound_and_times() -> None:
    found = Found([[0.1, 0.2], [0.1, 0.9]], [1.0, 3.0])
    recall = measure_recall(found, [[0.1, 0.2], [0.1, 0.2]], ef_search=40)
    assert (recall.mean, recall.worst, recall.queries, recall.ef_search) == (0.75, 0.5, 2, 40)
    assert 0.5 <= recall.low < 0.75
    assert (recall.p50, recall.p99) == pytest.approx((2.0, 2.98))
    with pytest.raises(ValueError, match="argument"):
        measure_recall(Found([[0.1]]), [[0.1], [0.2]], ef_search=40)


def _index(needed: int, asked: list[int | None]):  # type: ignore[no-untyped-def]
    """An index that finds one of two below a width, and both from it on."""

    def search(ef_search: int | None) -> Found:
        asked.append(ef_search)
        return Found([[0.1, 0.2 if ef_search is None or ef_search >= needed else 0.9]] * 3)

    return search


def test_the_smallest_width_that_is_enough_is_chosen() -> None:
    asked: list[int | None] = []
    tried = choose_ef_search(_index(100, asked), recall=0.98, worst_recall=None)
    assert asked == [None, 40, 60, 80, 120, 100, 90, 95], "widths in order, then between the last two"
    assert [(each.ef_search, each.mean) for each in tried] == [
        (40, 0.5), (60, 0.5), (80, 0.5), (90, 0.5), (95, 0.5), (120, 1.0), (100, 1.0),
    ], "from narrow to wide, and the chosen one last"  # fmt: skip
    asked.clear()
    assert choose_ef_search(_index(100, asked), recall=0.5, worst_recall=None)[-1].ef_search == 40
    assert asked == [None, 40], "never below pgvector's own default"
    assert choose_ef_search(_index(100, asked), recall=0.5, worst_recall=0.6)[-1].ef_search == 100


def test_the_mean_is_met_by_its_bound_where_a_width_does_so() -> None:
    """Of 100 queries 3 miss at 40 and none at 120: .97 is met by both, and surely by the second only."""

    def search(width: int | None) -> Found:
        missing = 0 if width is None else 3 if width < 120 else 0
        return Found([[0.9]] * missing + [[0.1]] * (100 - missing))

    assert choose_ef_search(search, recall=0.97, worst_recall=None, widths=(40, 120))[-1].ef_search > 40
    assert choose_ef_search(search, recall=0.97, worst_recall=None, widths=(40, 80))[-1].ef_search == 40, (
        "where no width does, the mean itself counts"
    )


def test_no_width_is_enough() -> None:
    asked: list[int | None] = []
    tried = choose_ef_search(_index(10**6, asked), recall=0.98, worst_recall=0.9)
    assert asked == [None, *EF_SEARCH]
    assert tried[-1].ef_search == 1000 and not tried[-1].holds(0.98, 0.9)
    checked = check_recall(0.5, 0.5, declared=0.98, declared_worst=0.9, ef_search=1000)
    assert checked.summary == (
        "recall@10 0.5000, worst query 0.50, at ef_search 1000; declared 0.98, worst 0.9; no search of this index is "
        "wide enough: declare less, or index: {type: exact}"
    )


def test_questions_made_of_rows_are_rows_and_what_lies_between() -> None:
    rows = np.array([[1, 0], [0, 1], [0, 1], [0, -1]], np.float32)
    made = questions_of(rows)
    root = math.sqrt(0.5)
    assert made == pytest.approx(np.array([[1, 0], [0, 1], [root, root]])), "between opposite ones there is nothing"
    assert questions_of(rows[:1]).tolist() == [[1, 0]] and questions_of(rows[:0]).shape == (0, 2)


def test_without_an_index_recall_is_one() -> None:
    asked: list[int | None] = []
    (only,) = choose_ef_search(_index(10**6, asked), recall=1, worst_recall=1, widths=())
    assert (only.mean, only.worst, only.ef_search, asked) == (1, 1, 0, [None])


def test_the_widths_are_what_pgvector_takes() -> None:
    assert list(EF_SEARCH) == sorted(EF_SEARCH)
    assert (EF_SEARCH[0], EF_SEARCH[-1]) == (40, 1000)


def _comparison(low: float, high: float) -> Comparison:
    return Comparison("ndcg@10", 100, 0.5, 0.5 + (low + high) / 2, (low + high) / 2, low, high, 0.01)


@pytest.mark.parametrize(
    ("low", "high", "decision", "reason"),
    [
        (0.01, 0.03, "promote", "better than live: ndcg@10 0.500 -> 0.520, difference +0.020 [+0.010, +0.030]"),
        (-0.03, -0.01, "keep", "worse than live: ndcg@10 0.500 -> 0.480"),
        (-0.01, 0.03, "keep", "a tie keeps live: "),
        (0.0, 0.03, "keep", "a tie keeps live: "),
        (-0.03, 0.0, "keep", "a tie keeps live: "),
        (0.0, 0.0, "keep", "a tie keeps live: "),
    ],
)
def test_the_gate_decides_by_the_interval(low: float, high: float, decision: str, reason: str) -> None:
    found = decide(_comparison(low, high))
    assert found.decision == decision
    assert found.reason.startswith(reason)
    assert found.comparison == _comparison(low, high)


def test_the_gate_without_questions() -> None:
    assert decide(None).decision == "needs_evaluation"
    assert decide(None, same_vectors=True).decision == "promote"
    assert decide(_comparison(-0.03, -0.01), same_vectors=True).decision == "promote"


@pytest.mark.parametrize(
    ("trained", "decision"),
    [
        (None, "promote"),
        (_comparison(0.1, 0.2), "promote"),
        (_comparison(-0.1, 0.2), "promote"),
        (_comparison(-0.2, -0.1), "keep"),
    ],
)
def test_the_first_generation_goes_live_unless_training_made_it_worse(
    trained: Comparison | None, decision: str
) -> None:
    assert decide_first(trained).decision == decision


COVERED = {"source": 10, "accounted": 9, "failed": 1, "pending": 0, "overdue": 0, "orphans": 0, "gaps": 0}


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({}, True),
        ({"source": 0, "accounted": 0, "failed": 0}, True),
        ({"accounted": 8}, False),
        ({"accounted": 8, "pending": 1}, True),
        ({"accounted": 8, "pending": 1, "overdue": 1}, False),
        ({"orphans": 1}, False),
        ({"gaps": 1}, False),
    ],
)
def test_coverage(change: dict[str, int], passed: bool) -> None:
    checked = check_coverage(**COVERED | change)
    assert checked.passed is passed
    assert checked.numbers == COVERED | change


def test_the_other_checks_have_bounds_that_count() -> None:
    assert check_norms(1e-5, dims=3, vector_type="vector").passed
    assert not check_norms(1e-3, dims=3, vector_type="vector").passed
    assert check_norms(1e-3, dims=3, vector_type="halfvec").passed
    assert not check_norms(math.nan, dims=3, vector_type="vector").passed
    assert check_recall(0.98, 0.0, declared=0.98, declared_worst=None, ef_search=40).passed
    assert not check_recall(0.97, 1.0, declared=0.98, declared_worst=None, ef_search=40).passed
    assert not check_recall(0.99, 0.7, declared=0.98, declared_worst=0.8, ef_search=40).passed
    checked = check_canaries_found(0.99995, 0.97, query_bound=0.9999, document_bound=0.99, passed=False)
    assert not checked.passed
    assert "0.970000 in bulk (bound 0.99)" in checked.summary


@pytest.mark.parametrize(("answers", "depth"), [(3, 100), (140, 140), (1200, 1000)])
def test_rankings_go_as_deep_as_a_query_has_answers(answers: int, depth: int) -> None:
    """Of a label with 140 texts MAP shall see all: cut at 100 a perfect ranking would score 100 of 140."""
    rows = [f"[{n}]" for n in range(1, 1301)]
    keys: list[tuple[int]] = [(n,) for n in range(1, 1301)]
    angles = np.linspace(0, 1, len(rows))
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    few, many = JudgedQuery("few", "w1", {"[1]": 1.0}), JudgedQuery("many", "w1", dict.fromkeys(rows[:answers], 1.0))
    questions = np.array([[1, 0], [1, 0]], np.float32)
    found = exact_rankings([(keys, vectors)], questions, [few, many])
    assert [len(found[name]) for name in ("few", "many")] == [depth, depth]
    assert evaluate(found, [many])["map"] == pytest.approx(min(1.0, 1000 / answers))
    lexical = bm25_rankings(((row, "w1") for row in rows), [few, many], limit=5000)
    assert lexical is not None and len(lexical["many"]) == depth


def test_exact_rankings_are_those_of_brute_force_whatever_the_blocks() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(700, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[50:60] = vectors[40:50]  # equal scores
    queries = vectors[random.integers(700, size=5)]
    keys = [(f"r{i:03}", i % 3) for i in range(700)]
    names = [f'["r{i:03}",{i % 3}]' for i in range(700)]
    judged = [JudgedQuery(f"q{i}", "", {names[i]: 1.0}) for i in range(5)]
    scores = np.round(queries @ vectors.T, 6)
    wanted = {f"q{i}": ranked(names, scores[i], 20) for i in range(5)}
    for size in (1, 7, 700):
        blocks = [(keys[i : i + size], vectors[i : i + size]) for i in range(0, 700, size)]
        assert exact_rankings(blocks, queries, judged, k=20) == wanted
    assert evaluate(wanted, judged) == evaluate(exact_rankings([(keys, vectors)], queries, judged, k=20), judged)


def test_a_row_counts_once_by_its_best_chunk() -> None:
    vectors = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6], [0, 1]], np.float32)
    keys = [(1,), (2,), (2,), (3,)]
    question = np.array([[1, 0]], np.float32)
    assert exact_rankings([(keys, vectors)], question, [JudgedQuery("q", "", {})]) == {"q": ["[1]", "[2]", "[3]"]}
    assert exact_rankings([], question, [JudgedQuery("q", "", {})]) == {"q": []}
