"""Exact retrieval by streaming all vectors past the queries: what generations are compared by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from vector_assets.records import JudgedQuery, Key, Vectors
from vector_assets.source.keys import row_key

Block = tuple[Sequence[Key], Vectors]


def exact_rankings(
    blocks: Iterable[Block], queries: Vectors, judged: Sequence[JudgedQuery], *, k: int = 100
) -> dict[str, list[str]]:
    """Return the k best row keys of each query by cosine, a row counting by its best chunk; ties by key.

    ``queries`` is (n, dims), unit length, in the order of ``judged``. Memory is one block and n x 2k candidates.
    """
    best_scores = np.full((len(judged), 0), -np.inf, dtype=np.float32)
    best_rows = np.zeros((len(judged), 0), dtype=np.int64)
    names: list[str] = []
    numbers: dict[str, int] = {}
    for keys, vectors in blocks:
        rows = np.empty(len(keys), dtype=np.int64)
        for place, key in enumerate(keys):
            name = row_key(key)
            if name not in numbers:
                numbers[name] = len(names)
                names.append(name)
            rows[place] = numbers[name]
        scores = queries @ vectors.T
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate([best_rows, np.broadcast_to(rows, scores.shape)], axis=1)
        if best_scores.shape[1] > 4 * k:
            keep = np.argpartition(-best_scores, 4 * k - 1, axis=1)[:, : 4 * k]
            best_scores = np.take_along_axis(best_scores, keep, axis=1)
            best_rows = np.take_along_axis(best_rows, keep, axis=1)
    return {query.id: _top(best_scores[i], best_rows[i], names, k) for i, query in enumerate(judged)}


def _top(scores: Vectors, rows: np.ndarray[tuple[int], np.dtype[np.int64]], names: Sequence[str], k: int) -> list[str]:
    best: dict[str, float] = {}
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        name = names[row]
        best[name] = max(score, best.get(name, -2.0))
    return sorted(best, key=lambda name: (-round(best[name], 6), name))[:k]
