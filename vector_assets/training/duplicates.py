"""Near-duplicates: which texts resemble one of some others by word 3-grams, which images by their perceptual hashes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vector_assets.spec import UNLABELLED, Training

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_WORD = re.compile(r"\w+")
_BLOCK = 512
_CELLS = 8_000_000  # of one block's product, at most, where every text shares a 3-gram with every other
_FEATURES = 1 << 22


class Learned(Protocol):
    """A query with its document; a labelled text, or a text alone, has no query."""

    @property
    def query(self) -> str:
        """What asks, "" where nothing does."""
        ...

    @property
    def document(self) -> str:
        """What answers."""
        ...


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


def asking(learned: Sequence[Learned], questions: Sequence[str], training: Training) -> list[bool]:
    """Tell of each pair or text whether it asks one of the questions, or nearly does.

    A query does, and so does a text that is learned by itself: with a label, alone, or before the pairs (``pretrain``).
    The document of a pair is a row that is searched, which says nothing of who asks for it.
    """
    found = np.zeros(len(learned), np.bool_)
    if questions:
        threshold = training.split.duplicates
        found |= resembling([one.query or one.document for one in learned], questions, threshold)
        if training.labels is not None or training.objective in UNLABELLED or training.pretrain:
            found |= resembling([one.document for one in learned], questions, threshold)
    return [bool(one) for one in found]


def looking_alike(hashes: Sequence[int], others: Sequence[int], bits: int) -> NDArray[np.bool_]:
    """Tell for each 64-bit perceptual hash whether it differs from any of the others in at most this many bits.

    Exact: all are compared with all, some hundred million a second; memory is bounded by blocks.
    """
    found = np.zeros(len(hashes), np.bool_)
    here, there = np.array(hashes, np.uint64), np.unique(np.array(others, np.uint64))
    if not len(there):
        return found
    block = max(1, _CELLS // len(there))
    for start in range(0, len(here), block):
        differing = np.bitwise_count(here[start : start + block, None] ^ there[None, :])
        found[start : start + block] = differing.min(axis=1) <= bits
    return found
