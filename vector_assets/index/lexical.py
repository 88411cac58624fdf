"""BM25 over the rows' own words: the arm that every retrieval report shows, since out of domain it often wins.

Robertson et al., "Okapi at TREC-3", 1994, in Lucene's form (k1 1.5, b 0.75); scores by the library bm25s (Lù 2024).
"""

from __future__ import annotations

import logging
import re
from array import array
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from vector_assets.encoder.image.samples import ImageText
from vector_assets.metrics import Scores, ranking_depth
from vector_assets.records import JudgedQuery

#: Letters and digits in a row are a word; where no spaces stand between words, each character is one.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff_]+")
_OTHER = 0  # every word that no question asks for


def words(text: str) -> list[str]:
    """Cut a text into small-letter words: no stemming, no stop words, the same for every language."""
    return _WORD.findall(text.lower())


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
