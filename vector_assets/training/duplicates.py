"""Near-duplicates by word 3-grams: which texts resemble one of some others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_WORD = re.compile(r"\w+")
_BLOCK = 512
_FEATURES = 1 << 22


def resembling(texts: Sequence[str], others: Sequence[str], threshold: float) -> NDArray[np.bool_]:
    """Tell for each text whether its set of word 3-grams has at least this cosine with that of any of the others.

    Memory is bounded by blocks of texts, not by all pairs of them.
    """
    if not texts or not others:
        return np.zeros(len(texts), np.bool_)
    there = grams_of(others).T.tocsr()
    found = np.zeros(len(texts), np.bool_)
    for start in range(0, len(texts), _BLOCK):
        here = grams_of(texts[start : start + _BLOCK])
        closest = (here @ there).max(axis=1).toarray().ravel()
        found[start : start + _BLOCK] = closest >= threshold - 1e-6
    return found


def grams_of(texts: Sequence[str]) -> csr_matrix:
    """Return the sets of word 3-grams as sparse rows of length 1: their products are the cosines."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer=three_grams, n_features=_FEATURES, binary=True, norm="l2", alternate_sign=False, dtype=np.float32
    )
    return vectorizer.transform(texts)


def three_grams(text: str) -> list[str]:
    """Return the word 3-grams of a text, or all its words as one where there are fewer than three; never none."""
    words = _WORD.findall(text.lower())
    if len(words) < 3:
        return [" ".join(words) or text.strip()]
    return [" ".join(words[place : place + 3]) for place in range(len(words) - 2)]
