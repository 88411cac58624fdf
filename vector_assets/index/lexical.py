"""BM25 over the rows' own words: the arm that every retrieval report shows, since out of domain it often wins.

Robertson et al., "Okapi at TREC-3", 1994, in Lucene's form (k1 1.5, b 0.75); scores by the library bm25s (Lù 2024).
"""

from __future__ import annotations

import logging
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from vector_assets.encoder.image.samples import ImageText
from vector_assets.metrics import Scores, ranking_depth
from vector_assets.records import JudgedQuery

#: Marks that belong to the letter before them (Unicode's classes Mn and Mc below U+1D00), as ranges of a bracket:
#: accents that no single character has, and what kills or changes a vowel in the scripts of India and its neighbours.
MARKS = (
    r"\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1-\u05c2\u05c4-\u05c5\u05c7\u0610-\u061a\u064b-\u065f"
    r"\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7-\u06e8\u06ea-\u06ed\u0711\u0730-\u074a\u07a6-\u07b0\u07eb-\u07f3"
    r"\u07fd\u0816-\u0819\u081b-\u0823\u0825-\u0827\u0829-\u082d\u0859-\u085b\u0898-\u089f\u08ca-\u08e1"
    r"\u08e3-\u0903\u093a-\u093c\u093e-\u094f\u0951-\u0957\u0962-\u0963\u0981-\u0983\u09bc\u09be-\u09cd\u09d7"
    r"\u09e2-\u09e3\u09fe-\u0a03\u0a3c-\u0a51\u0a70-\u0a71\u0a75\u0a81-\u0a83\u0abc\u0abe-\u0acd\u0ae2-\u0ae3"
    r"\u0afa-\u0b03\u0b3c\u0b3e-\u0b57\u0b62-\u0b63\u0b82\u0bbe-\u0bcd\u0bd7\u0c00-\u0c04\u0c3c\u0c3e-\u0c56"
    r"\u0c62-\u0c63\u0c81-\u0c83\u0cbc\u0cbe-\u0cd6\u0ce2-\u0ce3\u0d00-\u0d03\u0d3b-\u0d3c\u0d3e-\u0d4d\u0d57"
    r"\u0d62-\u0d63\u0d81-\u0d83\u0dca-\u0ddf\u0df2-\u0df3\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc"
    r"\u0ec8-\u0ecd\u0f18-\u0f19\u0f35\u0f37\u0f39\u0f3e-\u0f3f\u0f71-\u0f84\u0f86-\u0f87\u0f8d-\u0fbc\u0fc6"
    r"\u102b-\u103e\u1056-\u1059\u105e-\u1060\u1062-\u1064\u1067-\u106d\u1071-\u1074\u1082-\u108d\u108f"
    r"\u109a-\u109d\u135d-\u135f\u1712-\u1715\u1732-\u1734\u1752-\u1753\u1772-\u1773\u17b4-\u17d3\u17dd"
    r"\u180b-\u180d\u180f\u1885-\u1886\u18a9\u1920-\u193b\u1a17-\u1a1b\u1a55-\u1a7f\u1ab0-\u1abd\u1abf-\u1b04"
    r"\u1b34-\u1b44\u1b6b-\u1b73\u1b80-\u1b82\u1ba1-\u1bad\u1be6-\u1bf3\u1c24-\u1c37\u1cd0-\u1cd2\u1cd4-\u1ce8"
    r"\u1ced\u1cf4\u1cf7-\u1cf9"
)
_SPACELESS = r"\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
#: Letters, digits and their marks in a row are a word; where no spaces stand between words, each character is one.
_WORD = re.compile(rf"[{_SPACELESS}]|(?:[^\W{_SPACELESS}_]|[{MARKS}])+")
_OTHER = 0  # every word that no question asks for


def words(text: str) -> list[str]:
    """Cut a text into small-letter words: no stemming, no stop words, the same for every language."""
    return _WORD.findall(unicodedata.normalize("NFC", text).lower())


def bm25_rankings(
    rows: Iterable[tuple[str, str]], judged: Sequence[JudgedQuery], *, limit: int, k: int | None = None
) -> dict[str, list[str]] | None:
    """Return the k best row keys of each query, ties by key; None when there are more than ``limit`` rows.

    Without k as many as the metrics need of these queries (``ranking_depth``).

    Only words that some query asks for are told apart: all others count for a row's length alone, so the scores are
    those of a whole index at a fraction of its memory: 4 bytes a word of the rows, 8 a posting.
    """
    k = ranking_depth(judged) if k is None else k
    asked = {query.id: [] if isinstance(query.text, ImageText) else words(query.text) for query in judged}
    numbers = {word: number for number, word in enumerate(sorted({w for each in asked.values() for w in each}), 1)}
    keys: list[str] = []
    documents: list[array[int]] = []
    for key, text in rows:
        if len(keys) == limit:
            return None
        keys.append(key)
        documents.append(array("I", [numbers.get(word, _OTHER) for word in words(text)]))
    if not any(documents):
        return {query.id: [] for query in judged}
    scores = _scorer(documents, numbers)
    place = {key: number for number, key in enumerate(keys)}
    outside: dict[frozenset[str], NDArray[np.bool_]] = {}
    found = {}
    for query in judged:
        each = scores([numbers[word] for word in asked[query.id]])
        if query.among is not None:
            if query.among not in outside:
                outside[query.among] = np.array([key not in query.among for key in keys], dtype=np.bool_)
            each[outside[query.among]] = 0
        if query.own in place:
            each[place[query.own]] = 0
        found[query.id] = _best(each, keys, k)
    return found


def _scorer(documents: list[array[int]], numbers: dict[str, int]) -> Callable[[list[int]], Scores]:
    """Index the rows; return what scores all of them for the words of a question."""
    import bm25s  # late: importing it takes a second

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    index = bm25s.BM25(method="lucene", csc_backend="scipy", auto_compile=False)
    index.index((documents, {"": _OTHER, **numbers}), show_progress=False, create_empty_token=False)

    def scores(asked: list[int]) -> Scores:
        if not asked:
            return np.zeros(len(documents), dtype=np.float64)
        found: Scores = index.get_scores_from_ids(asked).astype(np.float64)
        return found

    return scores


def _best(scores: Scores, keys: Sequence[str], k: int) -> list[str]:
    places = np.flatnonzero(scores > 0)
    if len(places) > k:
        last = np.partition(scores[places], -k)[-k]
        places = places[scores[places] >= last]
    return [keys[place] for place in sorted(places.tolist(), key=lambda n: (-round(float(scores[n]), 6), keys[n]))[:k]]
