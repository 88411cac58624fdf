"""Recall of an index against an exact scan, and the smallest ef_search that keeps a declared recall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vector_assets.errors import RecallError

#: Widths that are tried, from pgvector's default up to its limit.
EF_SEARCH = (40, 60, 80, 120, 160, 200, 300, 400, 600, 800, 1000)
# Two ways of summing 384 products in float32 differ by about this much.
_TIE = 1e-6

Distances = Sequence[Sequence[float]]


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall@k over queries at one ``ef_search``."""

    ef_search: int
    mean: float
    worst: float
    queries: int


def recall_at_k(found: Sequence[float], exact: Sequence[float]) -> float:
    """Return the share of the exact k nearest that were found, by distance.

    Rows as near as the k-th count as found: which of equally near rows an exact scan names is chance.
    """
    if not exact:
        return 1.0
    limit = max(exact) + _TIE
    return min(sum(distance <= limit for distance in found), len(exact)) / len(exact)


def measure_recall(found: Distances, exact: Distances, *, ef_search: int) -> Recall:
    """Return mean and worst recall over queries."""
    each = [recall_at_k(a, b) for a, b in zip(found, exact, strict=True)]
    return Recall(ef_search, float(np.mean(each)) if each else 1.0, min(each, default=1.0), len(each))


def choose_ef_search(
    search: Callable[[int | None], Distances], *, recall: float, worst_recall: float | None
) -> tuple[Recall, ...]:
    """Try widths until the declared recall is met; return all that was measured, the chosen one last.

    ``search(ef_search)`` returns distances per query; ``search(None)`` is the exact scan. Raises RecallError when no
    width is enough.
    """
    exact = search(None)
    tried: list[Recall] = []
    for ef_search in EF_SEARCH:
        tried.append(measure_recall(search(ef_search), exact, ef_search=ef_search))
        if tried[-1].mean >= recall and (worst_recall is None or tried[-1].worst >= worst_recall):
            return tuple(tried)
    best = tried[-1]
    raise RecallError(
        f"recall@10 is {best.mean:.3f} (worst query {best.worst:.2f}) at ef_search {best.ef_search}, the widest; "
        f"declared {recall}{f' (worst {worst_recall})' if worst_recall else ''}: declare less"
    )
