"""Recall of an index against an exact scan, and the narrowest search that keeps a declared recall."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vector_assets.index.size_planner import EF_SEARCH
from vector_assets.records import Vectors

# Two ways of summing 384 products in float32 differ by about this much.
_TIE = 1e-6
# Between two widths as near as this, what is measured is chance.
_NEAR = 1.1
# One-sided: the mean of questions that come later is below the bound with this probability.
_CHANCE = 0.05
_RESAMPLES = 2000

Distances = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Found:
    """Distances of what was found, per query, with the time that each query took."""

    distances: Distances
    milliseconds: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall@k over queries at one width: ef_search, probes, or candidates ranked again. 0 is an exact scan.

    ``low`` is the lower 95 % bound of the mean; ``p50`` and ``p99`` are milliseconds of the bare SQL, one client.
    """

    ef_search: int
    mean: float
    worst: float
    queries: int
    low: float = 0.0
    p50: float = 0.0
    p99: float = 0.0

    def holds(self, recall: float, worst_recall: float | None) -> bool:
        """Tell whether the declared recall was measured."""
        return self.mean >= recall and (worst_recall is None or self.worst >= worst_recall)

    def holds_surely(self, recall: float, worst_recall: float | None) -> bool:
        """The same for the lower 95 % bound of the mean: other queries than the measured ones will be asked."""
        return self.low >= recall and self.holds(recall, worst_recall)


def recall_at_k(found: Sequence[float], exact: Sequence[float]) -> float:
    """Return the share of the exact k nearest that were found, by distance.

    Rows as near as the k-th count as found: which of equally near rows an exact scan names is chance.
    """
    if not exact:
        return 1.0
    limit = max(exact) + _TIE
    return min(sum(distance <= limit for distance in found), len(exact)) / len(exact)


def questions_of(vectors: Vectors) -> Vectors:
    """Make questions of rows, where nobody has asked any: half are rows, half lie between two of them.

    A row finds itself and its neighbours by the links it was given; people's questions lie between rows, and are much
    harder. On functions asked by their first sentence (benchmarks page), recall at ef_search 40, 100 and 160 is .85,
    .95 and .97; of rows alone it is .998, .998 and .999, of these halves .92, .96 and .97.
    """
    half = len(vectors) // 2
    if not half:
        return vectors
    between = vectors[:half] + vectors[-half:]
    lengths = np.linalg.norm(between, axis=1)
    apart = lengths > _TIE  # opposite ones have nothing between them
    return np.concatenate([vectors[:half], between[apart] / lengths[apart, None]])


def measure_recall(found: Found, exact: Distances, *, ef_search: int) -> Recall:
    """Return mean and worst recall over queries, and the times they took."""
    each = [recall_at_k(a, b) for a, b in zip(found.distances, exact, strict=True)]
    p50, p99 = np.percentile(found.milliseconds, (50, 99)) if found.milliseconds else (0.0, 0.0)
    return Recall(
        ef_search, float(np.mean(each)) if each else 1.0, min(each, default=1.0), len(each),
        lower_bound(each), float(p50), float(p99),
    )  # fmt: skip


def lower_bound(each: Sequence[float]) -> float:
    """Return the one-sided 95 % bound of the mean recall from below, by bootstrap (BCa, Efron 1987); seeded.

    Most queries find all, and a few next to nothing. By so skewed a distribution the normal bound is too high: of true
    means of .98, with 2 % of queries that find a quarter, it was above the mean in 12 % of draws, this one in 6 %.
    """
    values = np.asarray(each, np.float64)
    if len(values) < 2 or values.min() == values.max():
        return float(values.mean()) if len(values) else 1.0
    from scipy.stats import bootstrap

    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few values the bound may not be there
        found = bootstrap(
            (values,), np.mean, confidence_level=1 - 2 * _CHANCE, n_resamples=_RESAMPLES, method="BCa",
            rng=np.random.default_rng(0),
        ).confidence_interval.low  # fmt: skip
    return float(found) if np.isfinite(found) else float(values.min())


def choose_ef_search(
    search: Callable[[int | None], Found], *, recall: float, worst_recall: float | None,
    widths: Sequence[int] = EF_SEARCH,
) -> tuple[Recall, ...]:  # fmt: skip
    """Try widths until the declared recall is met, then between the last two; return all measured, the chosen one last.

    ``search(width)`` asks the index, ``search(None)`` scans exactly; without ``widths`` there is no index, and that is
    all. The lower 95 % bound of the mean has to meet it where that of some width does, for other queries will be asked.
    Where no width is enough the widest is the last.
    """
    exact = search(None)
    if not widths:
        return (measure_recall(exact, exact.distances, ef_search=0),)
    tried: dict[int, Recall] = {}

    def measured(width: int) -> Recall:
        tried[width] = measure_recall(search(width), exact.distances, ef_search=width)
        return tried[width]

    enough = next((width for width in widths if measured(width).holds_surely(recall, worst_recall)), None)
    if enough is None:
        enough = next((width for width in widths if tried[width].holds(recall, worst_recall)), widths[-1])
        return _with_last(tried, enough)
    below = max((width for width in tried if width < enough), default=enough)
    while enough - below > 1 and enough > _NEAR * below:
        middle = (enough + below) // 2
        if measured(middle).holds_surely(recall, worst_recall):
            enough = middle
        else:
            below = middle
    return _with_last(tried, enough)


def _with_last(tried: dict[int, Recall], chosen: int) -> tuple[Recall, ...]:
    """All of them from narrow to wide, the chosen one last."""
    return (*(tried[width] for width in sorted(tried) if width != chosen), tried[chosen])
