"""Metrics against numbers worked out by hand, nDCG against scikit-learn, all of them against TREC's own program."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytrec_eval import RelevanceEvaluator
from sklearn.metrics import ndcg_score

from vector_assets.metrics import (
    average_precision,
    bootstrap_interval,
    evaluate,
    holm,
    mrr_at_k,
    ndcg_at_k,
    paired_bootstrap,
    ranked,
    recall_at_k,
    score,
)
from vector_assets.records import JudgedQuery

RANKING = ["a", "b", "c", "d", "e"]
RELEVANT = {"b": 1.0, "d": 2.0, "z": 1.0, "a": 0.0}


def test_ndcg_by_hand() -> None:
    found = 1 / math.log2(3) + 2 / math.log2(5)
    best = 2 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    assert ndcg_at_k(RANKING, RELEVANT, 10) == pytest.approx(found / best, abs=1e-9)
    cut_best = 2 + 1 / math.log2(3)
    assert ndcg_at_k(RANKING, RELEVANT, 2) == pytest.approx(1 / math.log2(3) / cut_best, abs=1e-9)


def test_mrr_recall_and_average_precision_by_hand() -> None:
    assert mrr_at_k(RANKING, RELEVANT, 10) == pytest.approx(0.5, abs=1e-9)
    assert mrr_at_k(RANKING, RELEVANT, 1) == 0.0
    assert recall_at_k(RANKING, RELEVANT, 3) == pytest.approx(1 / 3, abs=1e-9)
    assert recall_at_k(RANKING, RELEVANT, 10) == pytest.approx(2 / 3, abs=1e-9)
    assert average_precision(RANKING, RELEVANT) == pytest.approx((1 / 2 + 2 / 4) / 3, abs=1e-9)


def test_all_metrics_equal_those_of_trec_eval() -> None:
    """Graded and partly judged queries, rankings that miss answers, some of none at all; 1e-6, query by query."""
    generator = np.random.default_rng(11)
    rows = [f"row {n:03}" for n in range(160)]
    judged, rankings = [], {}
    for number in range(60):
        some = generator.permutation(len(rows))
        gains = {rows[place]: float(generator.integers(0, 4)) for place in some[: generator.integers(1, 30)]}
        gains[rows[some[0]]] = 2.0  # trec_eval leaves out a query without an answer; what we say of one is above
        judged.append(JudgedQuery(f"q{number}", "", gains))
        found = generator.permutation(len(rows))[: generator.integers(1, 140)]
        rankings[f"q{number}"] = [rows[place] for place in found]
    rankings["q7"] = [row for row in rows if judged[7].relevant.get(row, 0) <= 0][:20]
    trec = RelevanceEvaluator(
        {one.id: {row: int(gain) for row, gain in one.relevant.items()} for one in judged},
        {"ndcg_cut.5,10", "recall.10,100", "map", "recip_rank"},
    ).evaluate({name: {row: 1.0 / place for place, row in enumerate(found, 1)} for name, found in rankings.items()})
    names = {
        "ndcg@5": "ndcg_cut_5", "ndcg@10": "ndcg_cut_10", "recall@10": "recall_10", "recall@100": "recall_100",
        "map": "map", "mrr@1000": "recip_rank",
    }  # fmt: skip
    for ours, theirs in names.items():
        wanted = [trec[one.id][theirs] for one in judged]
        assert score(rankings, judged, ours) == pytest.approx(wanted, abs=1e-6), ours
        assert min(wanted) == 0 < max(wanted)


def test_a_row_listed_twice_counts_once_at_its_first_place() -> None:
    chunks = ["b", "b", "b", "d"]
    assert average_precision(chunks, {"b": 1.0, "d": 1.0}) == pytest.approx(1.0, abs=1e-9)
    assert recall_at_k(chunks, {"b": 1.0, "d": 1.0}, 2) == pytest.approx(1.0, abs=1e-9)
    assert ndcg_at_k(chunks, {"b": 1.0, "d": 1.0}, 10) == pytest.approx(1.0, abs=1e-9)


def test_nothing_relevant_and_nothing_found_score_zero() -> None:
    query = JudgedQuery("q", "", {"a": 0.0})
    other = JudgedQuery("absent", "", {"a": 1.0})
    for metric in ("ndcg@10", "mrr@10", "recall@10", "map"):
        assert score({"q": ["a"]}, [query, other], metric).tolist() == [0.0, 0.0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 10_000)), min_size=2, max_size=30, unique_by=lambda p: p[1])
)
def test_ndcg_agrees_with_scikit_learn(items: list[tuple[int, int]]) -> None:
    gains, scores = [float(g) for g, _ in items], [float(s) for _, s in items]
    ids = [f"{n:03d}" for n in range(len(items))]
    own = ndcg_at_k(ranked(ids, scores), dict(zip(ids, gains, strict=True)), 10)
    assert own == pytest.approx(ndcg_score([gains], [scores], k=10), abs=1e-9)


def test_ties_are_broken_by_id_whatever_the_order_of_rows() -> None:
    assert ranked(["c", "a", "b"], [1.0, 1.0, 2.0]) == ["b", "a", "c"]
    assert ranked(["b", "c", "a"], [2.0, 1.0, 1.0], k=2) == ["b", "a"]


def test_evaluate_means_over_queries_and_keeps_their_order() -> None:
    queries = [JudgedQuery("1", "", {"a": 1.0}), JudgedQuery("2", "", {"c": 1.0})]
    rankings = {"2": ["a", "b", "c"], "1": ["a"]}
    assert score(rankings, queries, "mrr@10").tolist() == [1.0, pytest.approx(1 / 3)]
    found = evaluate(rankings, queries)
    assert list(found) == ["ndcg@10", "recall@10", "recall@100", "mrr@10", "map"]
    assert found["ndcg@10"] == pytest.approx((1 + 0.5) / 2, abs=1e-9)
    assert found["map"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-9)
    with pytest.raises(ValueError, match="no queries"):
        evaluate({}, [])


@pytest.mark.parametrize("name", ["ndcg", "ndcg@0", "mrr@x", "map@10", "f1"])
def test_unknown_metrics_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown metric"):
        score({}, [], name)


def test_bootstrap_tells_a_real_gain_from_none() -> None:
    generator = np.random.default_rng(1)
    old = generator.random(400)
    better = paired_bootstrap(old, old + 0.1 + generator.normal(0, 0.2, 400), metric="mrr@10")
    assert better.low > 0 and better.p < 0.001 and better.queries == 400
    assert better.difference == pytest.approx(better.new - better.old, abs=1e-12)
    worse = paired_bootstrap(old, old - 0.1 + generator.normal(0, 0.2, 400), metric="mrr@10")
    assert worse.high < 0 and worse.p < 0.001
    noise = paired_bootstrap(old, old + generator.permutation(np.repeat([0.1, -0.1], 200)), metric="mrr@10")
    assert noise.low < 0 < noise.high and noise.p > 0.5


def test_bootstrap_agrees_with_the_normal_approximation_and_with_itself() -> None:
    gains = np.random.default_rng(2).normal(0.02, 0.3, 900)
    found = paired_bootstrap(np.zeros(900), gains, metric="map", samples=20_000, seed=3)
    half = 1.96 * gains.std() / 30
    assert found.low == pytest.approx(gains.mean() - half, abs=0.002)
    assert found.high == pytest.approx(gains.mean() + half, abs=0.002)
    assert found == paired_bootstrap(np.zeros(900), gains, metric="map", samples=20_000, seed=3)


def test_bootstrap_of_equal_systems_is_a_tie() -> None:
    found = paired_bootstrap([0.5, 1.0], [0.5, 1.0], metric="mrr@10")
    assert (found.difference, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize(("old", "new"), [([], []), ([1.0], [1.0, 2.0])])
def test_bootstrap_refuses_unpaired_or_empty_scores(old: list[float], new: list[float]) -> None:
    with pytest.raises(ValueError, match="paired scores"):
        paired_bootstrap(old, new, metric="map")


def test_the_interval_of_a_mean_is_that_of_the_normal_approximation() -> None:
    scores = np.random.default_rng(4).beta(2, 3, 900)
    low, high = bootstrap_interval(scores, samples=20_000, seed=1)
    half = 1.96 * scores.std() / 30
    assert (low, high) == pytest.approx((scores.mean() - half, scores.mean() + half), abs=0.002)
    assert bootstrap_interval([0.5]) == (0.5, 0.5)
    with pytest.raises(ValueError, match="non-empty"):
        bootstrap_interval([])


def test_many_comparisons_are_corrected_as_holm_does() -> None:
    """By hand: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.04 x 1, never falling."""
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.5, 0.001]) == pytest.approx([0.5, 0.002])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []
