"""Retrieval: whether the rows that answer a query are near it, by an exact scan."""

from __future__ import annotations

from collections.abc import Sequence

from vector_assets.index.retrieve import exact_rankings
from vector_assets.metrics import score
from vector_assets.records import JudgedQuery, Key, Vectors

MAIN = "ndcg_at_10"
DEPTHS = (1, 3, 5, 10, 20, 100)
_BLOCK = 4096  # rows whose scores are held at once

Scores = dict[str, object]


def retrieval_scores(
    queries: Vectors, judged: Sequence[JudgedQuery], keys: Sequence[Key], documents: Vectors
) -> Scores:
    """Return nDCG, recall and MRR at some depths, and MAP over the first 100: means over the queries.

    ``queries`` is (n, dims) in the order of ``judged``, ``documents`` in key order; all of unit length.
    """
    blocks = (
        (keys[start : start + _BLOCK], documents[start : start + _BLOCK]) for start in range(0, len(keys), _BLOCK)
    )
    rankings = exact_rankings(blocks, queries, judged, k=max(DEPTHS))
    names = [f"{metric}@{depth}" for metric in ("ndcg", "recall", "mrr") for depth in DEPTHS]
    found = {name.replace("@", "_at_"): float(score(rankings, judged, name).mean()) for name in names}
    found["map_at_100"] = float(score(rankings, judged, "map").mean())
    return {**found, "queries": len(judged), "documents": len(keys), "main_score": found[MAIN]}
