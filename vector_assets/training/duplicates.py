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
_CELLS = 8_000_000  # of one block's product, at most, where every text shares a 3-gram with every other
_FEATURES = 1 << 22


def resembling(texts: Sequence[str], others: Sequence[str], threshold: float) -> NDArray[np.bool_]:
    """Tell for each text whether its set of word 3-grams has at least this cosine with that of any of the others.

    Exact. Time grows with the pairs that share a 3-gram, not with all; memory is bounded by blocks of texts.
    """
    if not texts or not others:
        return np.zeros(len(texts), np.bool_)
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}  # one answer serves many questions
    distinct = list(places)
    there = grams_of(list(dict.fromkeys(others))).T.tocsr()
    found = np.zeros(len(distinct), np.bool_)
    block = max(1, min(_BLOCK, _CELLS // there.shape[1]))
    for start in range(0, len(distinct), block):
        here = grams_of(distinct[start : start + block])
        closest = (here @ there).max(axis=1).toarray().ravel()
        found[start : start + block] = closest >= threshold - 1e-6
    return found[[places[text] for text in texts]]


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
