"""Retrieval metrics over ranked row keys, and the paired bootstrap that compares two systems. Pure numpy.

The definitions are those of trec_eval: gains are linear, the discount is log2(rank + 1), average precision divides by
all relevant rows. A row listed twice (two chunks of one document) counts at its first place only. A query with
nothing relevant scores 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vector_assets.records import Comparison, JudgedQuery

Scores = NDArray[np.float64]  # one number per query
Rankings = Mapping[str, Sequence[str]]  # query id to row keys, best first

EVALUATED = ("ndcg@10", "recall@10", "recall@100", "mrr@10", "map")

#: How far a ranking is looked at: as far as the query with most answers has answers, within these.
_DEPTHS = (100, 1000)

_NAME = re.compile(r"(ndcg|mrr|recall)@([1-9][0-9]*)|map")
_DRAWS_AT_ONCE = 4_000_000


def shown_metric(metric: str) -> str:
    """Return a metric's name as people write it: MRR@10, nDCG@10, MAP; others as they are."""
    return metric.replace("mrr", "MRR").replace("ndcg", "nDCG").replace("map", "MAP")


def ranked(ids: Sequence[str], scores: ArrayLike, k: int | None = None) -> list[str]:
    """Return the ids by falling score, equal scores by id, so that the order never depends on how rows were stored."""
    values = np.asarray(scores, dtype=np.float64)
    order = sorted(range(len(ids)), key=lambda i: (-values[i], ids[i]))
    return [ids[i] for i in order[:k]]


def ndcg_at_k(ranking: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Discounted gain of the first k, as a share of the best possible."""
    best = _discounted(sorted((gain for gain in relevant.values() if gain > 0), reverse=True)[:k])
    return _discounted([max(relevant.get(key, 0.0), 0.0) for key in _once(ranking, k)]) / best if best else 0.0


def mrr_at_k(ranking: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """One over the place of the first relevant row, 0 when there is none among the first k."""
    for place, key in enumerate(_once(ranking, k), start=1):
        if relevant.get(key, 0.0) > 0:
            return 1.0 / place
    return 0.0


def recall_at_k(ranking: Sequence[str], relevant: Mapping[str, float], k: int) -> float:
    """Share of the relevant rows found among the first k."""
    wanted = sum(gain > 0 for gain in relevant.values())
    return sum(relevant.get(key, 0.0) > 0 for key in _once(ranking, k)) / wanted if wanted else 0.0


def average_precision(ranking: Sequence[str], relevant: Mapping[str, float]) -> float:
    """Mean, over all relevant rows, of the precision at the place where each is found; unfound ones count 0."""
    wanted = sum(gain > 0 for gain in relevant.values())
    found, total = 0, 0.0
    for place, key in enumerate(_once(ranking, None), start=1):
        if relevant.get(key, 0.0) > 0:
            found += 1
            total += found / place
    return total / wanted if wanted else 0.0


def ranking_depth(queries: Sequence[JudgedQuery]) -> int:
    """Return how deep to rank, so that MAP can see every answer: 100, or as many as one query has, 1,000 at most."""
    least, most = _DEPTHS
    return min(most, max([least, *(sum(gain > 0 for gain in query.relevant.values()) for query in queries)]))


def score(rankings: Rankings, queries: Sequence[JudgedQuery], metric: str) -> Scores:
    """Return one metric (ndcg@k, mrr@k, recall@k or map) per query, in the order of ``queries``."""
    one = _metric(metric)
    return np.array([one(rankings.get(query.id, ()), query.relevant) for query in queries], dtype=np.float64)


def evaluate(rankings: Rankings, queries: Sequence[JudgedQuery]) -> dict[str, float]:
    """Return the mean of every reported metric. Raises ValueError when there is no query."""
    if not queries:
        raise ValueError("no queries to evaluate: the mean of nothing is not a score")
    return {metric: float(score(rankings, queries, metric).mean()) for metric in EVALUATED}


def paired_bootstrap(
    old: ArrayLike, new: ArrayLike, *, metric: str, samples: int = 10_000, seed: int = 0
) -> Comparison:
    """Compare two systems on the same queries by resampling queries; the interval is 95 %, p is two-sided."""
    before, after = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    if before.shape != after.shape or before.ndim != 1 or not before.size:
        raise ValueError(f"paired scores must be two equal, non-empty rows, found {before.shape} and {after.shape}")
    gains = after - before
    means = _resampled_means(gains, samples, seed)
    low, high = np.quantile(means, [0.025, 0.975])
    # One is added to both counts because the observed sample is itself one of the possible ones: p is never 0.
    tail = min(int((means <= 0).sum()), int((means >= 0).sum()))
    return Comparison(
        metric=metric,
        queries=int(gains.size),
        old=float(before.mean()),
        new=float(after.mean()),
        difference=float(gains.mean()),
        low=float(low),
        high=float(high),
        p=min(1.0, 2 * (tail + 1) / (samples + 1)),
    )


def bootstrap_interval(values: ArrayLike, *, samples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of the mean of one number per query, by resampling queries. None raise ValueError."""
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 1 or not scores.size:
        raise ValueError(f"an interval needs a non-empty row of scores, found {scores.shape}")
    low, high = np.quantile(_resampled_means(scores, samples, seed), [0.025, 0.975])
    return float(low), float(high)


def holm(ps: Sequence[float]) -> list[float]:
    """Return p-values made larger for having made so many comparisons (Holm 1979), in the order given.

    Each holds at any level whichever and however many differences are real.
    """
    found = [0.0] * len(ps)
    largest = 0.0
    for place, number in enumerate(sorted(range(len(ps)), key=lambda n: ps[n])):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[number]))
        found[number] = largest
    return found


def _resampled_means(values: Scores, samples: int, seed: int) -> Scores:
    generator = np.random.default_rng(seed)
    block = max(1, _DRAWS_AT_ONCE // values.size)
    return np.concatenate(
        [
            values[
                generator.integers(values.size, size=(min(block, samples - start), values.size), dtype=np.int32)
            ].mean(1)
            for start in range(0, samples, block)
        ]
    )


def _metric(name: str) -> Callable[[Sequence[str], Mapping[str, float]], float]:
    match = _NAME.fullmatch(name)
    if not match:
        raise ValueError(f"unknown metric {name}: expected ndcg@k, mrr@k, recall@k or map")
    if name == "map":
        return average_precision
    function = {"ndcg": ndcg_at_k, "mrr": mrr_at_k, "recall": recall_at_k}[match[1]]
    k = int(match[2])
    return lambda ranking, relevant: function(ranking, relevant, k)


def _once(ranking: Sequence[str], k: int | None) -> list[str]:
    return list(dict.fromkeys(ranking))[:k]


def _discounted(gains: Iterable[float]) -> float:
    values = np.fromiter(gains, dtype=np.float64)
    return float((values / np.log2(np.arange(2, values.size + 2))).sum())
