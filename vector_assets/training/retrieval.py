"""How well a model finds the documents of held-out pairs: exact search among those pairs' own documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vector_assets.metrics import Rankings, Scores, evaluate, score
from vector_assets.records import JudgedQuery, Pair, Vectors

_ROWS = 512  # queries scored against the pool at once
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Pool:
    """Distinct queries and documents of some pairs. A query is answered by every document it is paired with."""

    queries: tuple[JudgedQuery, ...]
    documents: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """Ids of the documents; fixed width, so that their order as text is their order."""
        return [f"{number:08d}" for number in range(len(self.documents))]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a model reached on a pool: mean metrics, and the reciprocal rank of each query."""

    metrics: dict[str, float]
    reciprocal_ranks: Scores


def pool_of(pairs: Sequence[Pair]) -> Pool:
    """Gather the pool of some pairs, in their order."""
    numbers = {document: number for number, document in enumerate(dict.fromkeys(pair.document for pair in pairs))}
    answers: dict[str, dict[str, float]] = {}
    for pair in pairs:
        answers.setdefault(pair.query, {})[f"{numbers[pair.document]:08d}"] = 1.0
    queries = tuple(JudgedQuery(f"{n:08d}", text, found) for n, (text, found) in enumerate(answers.items()))
    return Pool(queries, tuple(numbers))


def rank(pool: Pool, queries: Vectors, documents: Vectors) -> Rankings:
    """Return the best documents of each query by cosine, equal ones by id."""
    ids = np.array(pool.ids)
    ranking: dict[str, list[str]] = {}
    for start in range(0, len(queries), _ROWS):
        scores = queries[start : start + _ROWS] @ documents.T  # (block, documents)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :_DEPTH]  # stable: ids rise with the column
        for query, places in zip(pool.queries[start : start + _ROWS], best, strict=True):
            ranking[query.id] = ids[places].tolist()
    return ranking


def judge(pool: Pool, queries: Vectors, documents: Vectors) -> Retrieval:
    """Search the pool and score what was found."""
    rankings = rank(pool, queries, documents)
    return Retrieval(evaluate(rankings, pool.queries), score(rankings, pool.queries, "mrr@10"))
