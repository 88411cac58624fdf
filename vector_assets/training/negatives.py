"""Hard negatives: documents that a model ranks high for a query, and that do not answer it. Pure.

As sentence-transformers' ``mine_hard_negatives`` does with ``range_min`` and ``relative_margin``, the guard against
false negatives that NV-Retriever (Moreira et al. 2024) found best: a candidate is left out unless its score is lower
than that of the pair's own answer by a share of it. Left out before that: every document paired with the query, and
what resembles one of them by word 3-grams. Candidates are the documents of the train split and rows outside of all
pairs, so nothing held out is learned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Pair, TrainingSet, Vectors
from vector_assets.spec import Negatives
from vector_assets.training.duplicates import grams_of
from vector_assets.training.pairs import pairs_digest

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

_ROWS = 256  # queries scored against all documents at once
_TIMES = 10  # candidates looked at for each that is wanted, as sentence-transformers does
_COUNTED = ("mined", "mined_fewer", "mined_near_duplicate", "mined_over_margin")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Distinct queries and documents of some pairs, in the order of their first pair; then other candidates."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    answers: tuple[frozenset[int], ...]  # of each query, places in ``documents``

    @classmethod
    def of(cls, pairs: Sequence[Pair], others: Iterable[str] = ()) -> Corpus:
        """Gather them. Queries that differ in case and spaces alone are one in what answers them."""
        texts = dict.fromkeys([*(pair.document for pair in pairs), *others])
        documents = {text: place for place, text in enumerate(texts)}
        queries = tuple(dict.fromkeys(pair.query for pair in pairs))
        found: dict[str, set[int]] = {}
        for pair in pairs:
            found.setdefault(_plain(pair.query), set()).add(documents[pair.document])
        return cls(queries, tuple(documents), tuple(frozenset(found[_plain(query)]) for query in queries))


def with_negatives(
    training_set: TrainingSet,
    corpus: Corpus,
    queries: Vectors,
    documents: Vectors,
    wanted: Negatives,
    *,
    alike: float,
    counts: Mapping[str, int],
) -> TrainingSet:
    """Return the set with more negatives at its train pairs, and the digest that covers them.

    The corpus is that of the train pairs, with other candidates behind. Vectors are of unit length and stand in its
    order; a document is like another from a cosine of ``alike`` between their word 3-grams.
    """
    grams = grams_of(corpus.documents)
    numbers = {text: place for place, text in enumerate(corpus.documents)}
    asked: dict[str, list[int]] = {}
    for pair in training_set.split("train"):
        asked.setdefault(pair.query, []).append(numbers[pair.document])
    report: Counter[str] = Counter(dict.fromkeys(_COUNTED, 0))
    found: dict[tuple[str, int], list[int]] = {}
    for start in range(0, len(queries), _ROWS):
        block = queries[start : start + _ROWS] @ documents.T  # (block, documents)
        for place, scores in enumerate(block, start):
            query, answers = corpus.queries[place], sorted(corpus.answers[place])
            for own in asked[query]:
                found[query, own] = _hard(scores, own, answers, wanted, grams, alike, report)
    pairs: list[Pair] = []
    for pair in training_set.pairs:
        if pair.split == "train":
            chosen = [corpus.documents[number] for number in found[pair.query, numbers[pair.document]]]
            report["mined"] += len(chosen)
            report["mined_fewer"] += len(chosen) < wanted.mined
            pair = replace(pair, negatives=tuple(dict.fromkeys([*pair.negatives, *chosen])))
        pairs.append(pair)
    return TrainingSet(pairs_digest(pairs), tuple(pairs), {**training_set.report, **report, **counts})


def _hard(
    scores: Vectors,
    own: int,
    answers: list[int],
    wanted: Negatives,
    grams: csr_matrix,
    alike: float,
    report: Counter[str],
) -> list[int]:
    """Return the best documents for one pair, given the scores of all for its query; equal ones in their order.

    The margin comes before the depth: however many documents a weak model puts above the answer, those just below it
    are found.
    """
    left = scores.copy()
    left[answers] = -np.inf
    if wanted.skip:
        left[_best(left, wanted.skip)] = -np.inf
    over = left > scores[own] - abs(scores[own]) * wanted.margin
    report["mined_over_margin"] += int(over.sum())
    left[over] = -np.inf
    best = _best(left, _TIMES * wanted.mined)
    if not len(best):
        return []
    closest: NDArray[np.float32] = (grams[best] @ grams[answers].T).max(axis=1).toarray().ravel()
    unlike = best[closest < alike - 1e-6]
    report["mined_near_duplicate"] += len(best) - len(unlike)
    return [int(place) for place in unlike[: wanted.mined]]


def _best(scores: Vectors, most: int) -> NDArray[np.int64]:
    """Return the places of the highest scores, the highest first; those at -inf are left out."""
    depth = min(most, len(scores))
    near = np.sort(np.argpartition(-scores, depth - 1)[:depth])  # sorted, so that equal scores keep their order
    near = near[np.argsort(-scores[near], kind="stable")]
    return near[np.isfinite(scores[near])]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
