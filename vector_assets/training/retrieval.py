"""How well a model finds held-out documents: exact search among those of the pairs, or of the labelled texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vector_assets.metrics import Rankings, Scores, evaluate, score
from vector_assets.records import JudgedQuery, Pair, Vectors

_ROWS = 512  # queries scored against the pool at once
_DEPTH = 100


@dataclass(frozen=True, slots=True)
class Pool:
    """Distinct queries and documents of some pairs. A query is answered by every document it is paired with.

    Of labelled texts each asks for the others of its label: ``own`` says which document a query is, which it must not
    find, and ``labels`` are those of the documents. A text alone with its label asks nothing, but can be found.
    """

    queries: tuple[JudgedQuery, ...]
    documents: tuple[str, ...]
    labels: tuple[str, ...] = ()
    own: tuple[int, ...] = ()

    @property
    def ids(self) -> list[str]:
        """Ids of the documents; fixed width, so that their order as text is their order."""
        return [_id(number) for number in range(len(self.documents))]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a model reached on a pool: mean metrics, and for each query its reciprocal rank and recall."""

    metrics: dict[str, float]
    reciprocal_ranks: Scores
    recalls: Scores  # recall@10


def pool_of(pairs: Sequence[Pair]) -> Pool:
    """Gather the pool of some pairs, or of some labelled texts, in their order."""
    if any(pair.label for pair in pairs):
        return _pool_of_labels(pairs)
    numbers = {document: number for number, document in enumerate(dict.fromkeys(pair.document for pair in pairs))}
    answers: dict[str, dict[str, float]] = {}
    for pair in pairs:
        answers.setdefault(pair.query, {})[_id(numbers[pair.document])] = 1.0
    queries = tuple(JudgedQuery(_id(n), text, found) for n, (text, found) in enumerate(answers.items()))
    return Pool(queries, tuple(numbers))


def rank(pool: Pool, queries: Vectors, documents: Vectors) -> Rankings:
    """Return the best documents of each query by cosine, equal ones by id."""
    ids = np.array(pool.ids)
    own = np.array(pool.own, dtype=np.intp)
    ranking: dict[str, list[str]] = {}
    for start in range(0, len(queries), _ROWS):
        scores = queries[start : start + _ROWS] @ documents.T  # (block, documents)
        if len(own):
            scores[np.arange(len(scores)), own[start : start + _ROWS]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :_DEPTH]  # stable: ids rise with the column
        for query, places in zip(pool.queries[start : start + _ROWS], best, strict=True):
            ranking[query.id] = ids[places].tolist()
    return ranking


def judge(pool: Pool, queries: Vectors, documents: Vectors) -> Retrieval:
    """Search the pool and score what was found."""
    rankings = rank(pool, queries, documents)
    ranks, recalls = (score(rankings, pool.queries, metric) for metric in ("mrr@10", "recall@10"))
    return Retrieval(evaluate(rankings, pool.queries), ranks, recalls)


def _pool_of_labels(texts: Sequence[Pair]) -> Pool:
    counts = Counter(text.label for text in texts)
    alike: dict[str, dict[str, float]] = {}
    for number, text in enumerate(texts):
        alike.setdefault(text.label, {})[_id(number)] = 1.0
    own = tuple(number for number, text in enumerate(texts) if counts[text.label] > 1)
    queries = tuple(
        JudgedQuery(_id(n), texts[n].document, {i: g for i, g in alike[texts[n].label].items() if i != _id(n)})
        for n in own
    )
    return Pool(queries, tuple(text.document for text in texts), tuple(text.label for text in texts), own)


def _id(number: int) -> str:
    return f"{number:08d}"
