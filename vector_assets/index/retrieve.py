"""Exact retrieval by streaming all vectors past the queries: what generations are compared by."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vector_assets.metrics import ranking_depth
from vector_assets.records import JudgedQuery, Key, Vectors
from vector_assets.source.keys import row_key

Block = tuple[Sequence[Key], Vectors]
Group = TypeVar("Group", bound=Hashable)


def exact_rankings(
    blocks: Iterable[Block], queries: Vectors, judged: Sequence[JudgedQuery], *, k: int | None = None, top: int = 1
) -> dict[str, list[str]]:
    """Return the k best row keys of each query by cosine: ``exact_hits`` without the scores."""
    found = exact_hits(blocks, queries, judged, k=k, top=top)
    return {query: [key for key, _ in hits] for query, hits in found.items()}


def exact_hits(
    blocks: Iterable[Block], queries: Vectors, judged: Sequence[JudgedQuery], *, k: int | None = None, top: int = 1
) -> dict[str, list[tuple[str, float]]]:
    """Return the k best row keys of each query with their scores by cosine; ties by key.

    A row has the mean score of its ``top`` best chunks (``Generation.top``; 1: its best one), of all where it has
    fewer. Without k as many rows as the metrics need of these queries (``ranking_depth``).
    ``queries`` is (n, dims), unit length, in the order of ``judged``. Blocks come in key order.
    Memory is one block and n x 4k candidates.
    """
    k = ranking_depth(judged) if k is None else k
    own = _grouped(query.own or None for query in judged)
    pools = _grouped(query.among for query in judged)
    best_scores = np.full((len(judged), 0), -np.inf, dtype=np.float32)
    best_rows = np.zeros((len(judged), 0), dtype=np.int64)
    names: list[str] = []
    for keys, scores in rolled_up(((keys, queries @ vectors.T) for keys, vectors in blocks), top):
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


def rolled_up(blocks: Iterable[tuple[Sequence[Key], Vectors]], top: int = 1) -> Iterator[tuple[Sequence[Key], Vectors]]:
    """Turn scores of chunks, (queries, chunks) in key order, into scores of rows: the mean of the ``top`` best chunks.

    A row with fewer chunks has the mean of those it has. The last row of a block may go on in the next, so its best
    chunks wait for it: a document of any length is one candidate, and takes the memory of ``top`` chunks.
    """
    last: tuple[Key, Vectors] | None = None  # (queries, at most top): the best of what was seen of a row
    for keys, scores in blocks:
        if not keys:
            continue
        if last and last[0] == keys[0]:
            keys, scores = [last[0]] * last[1].shape[1] + list(keys), np.concatenate([last[1], scores], axis=1)
        elif last:
            yield [last[0]], last[1].mean(axis=1, keepdims=True)
        starts = np.array([place for place, key in enumerate(keys) if not place or key != keys[place - 1]], np.int64)
        last = keys[-1], _best(scores[:, starts[-1] :], top)
        if len(starts) > 1:
            yield [keys[place] for place in starts[:-1]], _row_scores(scores[:, : starts[-1]], starts[:-1], top)
    if last:
        yield [last[0]], last[1].mean(axis=1, keepdims=True)


def _row_scores(scores: Vectors, starts: NDArray[np.int64], top: int) -> Vectors:
    """Return (queries, rows) of (queries, chunks), where rows begin at ``starts``."""
    if len(starts) == scores.shape[1]:
        return scores
    if top == 1:
        return np.maximum.reduceat(scores, starts, axis=1)
    lengths = np.diff([*starts, scores.shape[1]])
    found = np.empty((len(scores), len(starts)), np.float32)
    for length in np.unique(lengths):  # rows of as many chunks at once
        (rows,) = np.nonzero(lengths == length)
        chunks = scores[:, starts[rows][:, None] + np.arange(length)]  # (queries, rows, length)
        found[:, rows] = _best(chunks, top).mean(axis=-1)
    return found


def _best(scores: Vectors, top: int) -> Vectors:
    """Return the ``top`` highest along the last axis, or all, in no order, as a copy."""
    count = scores.shape[-1]
    return scores.copy() if count <= top else np.partition(scores, count - top, axis=-1)[..., count - top :]


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
