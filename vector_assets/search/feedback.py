"""More like this: rows that are liked and disliked, as one question."""

from __future__ import annotations

from typing import Final

import numpy as np

from vector_assets.errors import UserError
from vector_assets.records import Vectors

#: The share of the disliked mean that is taken away.
AWAY: Final = 0.25


def rocchio(question: Vectors | None, liked: Vectors, unliked: Vectors, *, away: float = AWAY) -> Vectors:
    """Return one unit vector (dims,) of a question (dims,) or None, liked (p, dims) and disliked rows (n, dims).

    After Rocchio (1971), with the question counting as one more liked row:

        asked = mean(question and liked) - away * mean(disliked), scaled to length 1

    Every row counts the same, whatever its length. Without a question and liked rows the question is what lies
    opposite to the disliked mean. Raises UserError where nothing is left of the direction (a row liked and disliked).
    """
    toward = liked if question is None else np.concatenate([question[None, :], liked])
    asked = np.zeros(toward.shape[1], np.float64)
    if len(toward):
        asked += _unit(toward).mean(axis=0)
    if len(unliked):
        asked -= (away if len(toward) else 1.0) * _unit(unliked).mean(axis=0)
    length = np.linalg.norm(asked)
    if length < 1e-6:
        raise UserError("what is liked and what is not cancel each other out; expected rows that differ")
    unit: Vectors = (asked / length).astype(np.float32)
    return unit


def _unit(vectors: Vectors) -> Vectors:
    unit: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return unit
