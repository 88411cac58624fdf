"""Hard negatives: documents that a model ranks high for a query, and that do not answer it. Pure.

As sentence-transformers' ``mine_hard_negatives`` does with ``range_min`` and ``relative_margin``, the guard against
false negatives that NV-Retriever (Moreira et al. 2024) found best: a candidate is left out unless its score is lower
than that of the pair's own answer by a share of it. Left out before that: every document paired with the query, and
what resembles one of them by word 3-grams. Only documents of the train split are candidates, so nothing held out is
learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Corpus:
    """Distinct queries and documents of some pairs, in the order of their first pair."""

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    answers: tuple[frozenset[int], ...]  # of each query, places in ``documents``

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Corpus:
        """Gather them. Queries that differ in case and spaces alone are one in what answers them."""
        documents = {text: place for place, text in enumerate(dict.fromkeys(pair.document for pair in pairs))}
        queries = tuple(dict.fromkeys(pair.query for pair in pairs))
        found: dict[str, set[int]] = {}
        for pair in pairs:
            found.setdefault(_plain(pair.query), set()).add(documents[pair.document])
        return cls(queries, tuple(documents), tuple(frozenset(found[_plain(query)]) for query in queries))


def with_negatives(
    training_set: TrainingSet,
    queries: Vectors,
    documents: Vectors,
    wanted: Negatives,
    *,
    alike: float,
    counts: Mapping[str, int],
) -> TrainingSet:
    """Return the set with more negatives at its train pairs, and the digest that covers them.

    The vectors are of unit length and stand in the order of ``Corpus.of(train pairs)``; a document is like another from
    a cosine of ``alike`` between their word 3-grams.
    """
    train = training_set.split("train")
    corpus = Corpus.of(train)
    grams = grams_of(corpus.documents)
    candidates = _candidates(corpus, queries, documents, wanted)
    places = {text: place for place, text in enumerate(corpus.queries)}
    numbers = {text: place for place, text in enumerate(corpus.documents)}
    report = {"mined": 0, "mined_fewer": 0, "mined_near_duplicate": 0, "mined_over_margin": 0}
    rivals = [_unlike(found, corpus.answers[place], grams, alike) for place, found in enumerate(candidates)]
    pairs: list[Pair] = []
    for pair in training_set.pairs:
        if pair.split == "train":
            place = places[pair.query]
            report["mined_near_duplicate"] += len(candidates[place]) - len(rivals[place])
            ranked = rivals[place][wanted.skip :]
            scores = documents[ranked] @ queries[place]
            own = float(documents[numbers[pair.document]] @ queries[place])
            right = ranked[scores <= own - abs(own) * wanted.margin]
            report["mined_over_margin"] += len(ranked) - len(right)
            chosen = [corpus.documents[number] for number in right[: wanted.mined]]
            report["mined"] += len(chosen)
            report["mined_fewer"] += len(chosen) < wanted.mined
            pair = replace(pair, negatives=tuple(dict.fromkeys([*pair.negatives, *chosen])))
        pairs.append(pair)
    return TrainingSet(pairs_digest(pairs), tuple(pairs), {**training_set.report, **report, **counts})


def _candidates(corpus: Corpus, queries: Vectors, documents: Vectors, wanted: Negatives) -> list[NDArray[np.int64]]:
    """Return for each query the best documents that do not answer it, the best first, equal ones in their order."""
    most = max(map(len, corpus.answers), default=0)
    depth = min(len(documents), wanted.skip + _TIMES * wanted.mined + most)
    found: list[NDArray[np.int64]] = []
    for start in range(0, len(queries), _ROWS):
        scores = queries[start : start + _ROWS] @ documents.T  # (block, documents)
        nearest = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
        for row, (near, answers) in enumerate(zip(nearest, corpus.answers[start : start + _ROWS], strict=True)):
            near = np.sort(near)
            near = near[np.argsort(-scores[row, near], kind="stable")]
            found.append(near[~np.isin(near, sorted(answers))])
    return found


def _unlike(found: NDArray[np.int64], answers: frozenset[int], grams: csr_matrix, alike: float) -> NDArray[np.int64]:
    if not len(found):
        return found
    closest: NDArray[np.float32] = (grams[found] @ grams[sorted(answers)].T).max(axis=1).toarray().ravel()
    return found[closest < alike - 1e-6]


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
