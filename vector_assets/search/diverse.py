"""Diversity: the best rows that are not all the same, by maximal marginal relevance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Vectors

#: How many candidates a row that is shown is chosen from.
CANDIDATES_PER_HIT = 5


def diversified(scores: NDArray[np.float64], vectors: Vectors, *, diverse: float, k: int) -> list[int]:
    """Return the places of k candidates, in the order they are chosen: maximal marginal relevance.

    Carbonell and Goldstein (1998): again and again the candidate with the greatest

        (1 - diverse) * score - diverse * (cosine to the most similar one that is chosen already)

    Scores are (m,) on the scale of a cosine, vectors (m, dims) of unit length. ``diverse`` 0 keeps the order of the
    scores, 1 looks at them for the first choice only. Equal ones are taken in the order in which they came.
    """
    left = np.arange(len(scores))
    chosen: list[int] = []
    nearest = np.full(len(scores), -np.inf)
    open_ = np.ones(len(scores), np.bool_)
    while len(chosen) < min(k, len(left)):
        worth = scores if not chosen else (1 - diverse) * scores - diverse * nearest
        place = int(np.where(open_, worth, -np.inf).argmax())
        chosen.append(place)
        open_[place] = False
        nearest = np.maximum(nearest, vectors @ vectors[place])
    return chosen


def on_one_scale(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return scores scaled to 0..1, lowest to highest: for ranks, BM25 and decision values, which are no cosines."""
    low, high = (scores.min(), scores.max()) if len(scores) else (0.0, 0.0)
    return np.ones_like(scores) if high == low else (scores - low) / (high - low)
