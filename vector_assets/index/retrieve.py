"""Exact retrieval by streaming all vectors past the queries: what generations are compared by."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np

from vector_assets.metrics import ranking_depth
from vector_assets.records import JudgedQuery, Key, Vectors
from vector_assets.source.keys import row_key

Block = tuple[Sequence[Key], Vectors]
Group = TypeVar("Group", bound=Hashable)


def exact_rankings(
    blocks: Iterable[Block], queries: Vectors, judged: Sequence[JudgedQuery], *, k: int | None = None
) -> dict[str, list[str]]:
    """Return the k best row keys of each query by cosine: ``exact_hits`` without the scores."""
    found = exact_hits(blocks, queries, judged, k=k)
    return {query: [key for key, _ in hits] for query, hits in found.items()}


def exact_hits(
    blocks: Iterable[Block], queries: Vectors, judged: Sequence[JudgedQuery], *, k: int | None = None
) -> dict[str, list[tuple[str, float]]]:
    """Return the k best row keys of each query with their cosines, a row counting by its best chunk; ties by key.

    Without k as many as the metrics need of these queries (``ranking_depth``).
    ``queries`` is (n, dims), unit length, in the order of ``judged``. Blocks come in key order.
    Memory is one block and n x 4k candidates.
    """
    k = ranking_depth(judged) if k is None else k
    own = _grouped(query.own or None for query in judged)
    pools = _grouped(query.among for query in judged)
    best_scores = np.full((len(judged), 0), -np.inf, dtype=np.float32)
    best_rows = np.zeros((len(judged), 0), dtype=np.int64)
    names: list[str] = []
    for keys, scores in _rolled_up((keys, queries @ vectors.T) for keys, vectors in blocks):
        numbers = np.arange(len(names), len(names) + len(keys), dtype=np.int64)
        names += map(row_key, keys)
        if pools or own:
            _leave_out(scores, names[len(names) - len(keys) :], pools, own)
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate([best_rows, np.broadcast_to(numbers, scores.shape)], axis=1)
        if best_scores.shape[1] > 4 * k:
            keep = np.argpartition(-best_scores, 4 * k - 1, axis=1)[:, : 4 * k]
            best_scores = np.take_along_axis(best_scores, keep, axis=1)
            best_rows = np.take_along_axis(best_rows, keep, axis=1)
    return {query.id: _top(best_scores[i], best_rows[i], names, k) for i, query in enumerate(judged)}


def _grouped(values: Iterable[Group | None]) -> dict[Group, list[int]]:
    """Return the places of each value that is not None."""
    found: dict[Group, list[int]] = {}
    for place, value in enumerate(values):
        if value is not None:
            found.setdefault(value, []).append(place)
    return found


def _leave_out(
    scores: Vectors, names: Sequence[str], pools: Mapping[frozenset[str], list[int]], own: Mapping[str, list[int]]
) -> None:
    """Take from the scores, (queries, rows), what a query must not find."""
    for rows, places in pools.items():
        outside = [column for column, name in enumerate(names) if name not in rows]
        scores[np.ix_(places, outside)] = -np.inf
    for column, name in enumerate(names):
        if name in own:
            scores[own[name], column] = -np.inf


def _rolled_up(blocks: Iterable[tuple[Sequence[Key], Vectors]]) -> Iterator[tuple[Sequence[Key], Vectors]]:
    """Turn scores of chunks, (queries, chunks) in key order, into scores of rows: a row is as good as its best chunk.

    The last row of a block may go on in the next, so it waits for it: a document of any length is one candidate.
    """
    last: tuple[Sequence[Key], Vectors] | None = None
    for keys, scores in blocks:
        if not keys:
            continue
        starts = [place for place, key in enumerate(keys) if not place or key != keys[place - 1]]
        rows = [keys[place] for place in starts]
        if len(starts) < len(keys):
            scores = np.maximum.reduceat(scores, starts, axis=1)
        if last and last[0][0] == rows[0]:
            scores[:, 0] = np.maximum(scores[:, 0], last[1][:, 0])
        elif last:
            yield last
        yield rows[:-1], scores[:, :-1]
        last = rows[-1:], scores[:, -1:].copy()
    if last:
        yield last


def _top(
    scores: Vectors, rows: np.ndarray[tuple[int], np.dtype[np.int64]], names: Sequence[str], k: int
) -> list[tuple[str, float]]:
    best: dict[str, float] = {}
    for row, score in zip(rows.tolist(), scores.tolist(), strict=True):
        if score == -np.inf:
            continue
        name = names[row]
        best[name] = max(score, best.get(name, -2.0))
    return [(name, best[name]) for name in sorted(best, key=lambda name: (-round(best[name], 6), name))[:k]]
