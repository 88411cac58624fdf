"""How well a model finds held-out documents: exact search among those of the pairs, or of the labelled texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vector_assets.metrics import Rankings, Scores, evaluate, score
from vector_assets.records import JudgedQuery, Pair, Vectors

_ROWS = 512  # queries scored against the pool at once
_DEPTH = 100  # at least; those of a label all the same, since a label may have more texts


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
    def metric(self) -> str:
        """What one number says best how well it is answered.

        map over labelled texts: with many answers each the first is soon right, and mrr@10 tells nothing any more
        (Musgrave et al. 2020 argue the same of rank-1); with one answer they are the same. A student's question has its
        teacher's ten nearest, of which it should find all.
        """
        return "map" if self.labels else "recall@10" if self.own else "mrr@10"

    @property
    def ids(self) -> list[str]:
        """Ids of the documents; fixed width, so that their order as text is their order."""
        return [_id(number) for number in range(len(self.documents))]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What a model reached on a pool: mean metrics, and the pool's own metric for each query."""

    metrics: dict[str, float]
    metric: str
    each: Scores


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
    depth = max(_DEPTH, *Counter(pool.labels).values(), 0)
    ranking: dict[str, list[str]] = {}
    for start in range(0, len(queries), _ROWS):
        scores = queries[start : start + _ROWS] @ documents.T  # (block, documents)
        if len(own):
            scores[np.arange(len(scores)), own[start : start + _ROWS]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, :depth]  # stable: ids rise with the column
        for query, places in zip(pool.queries[start : start + _ROWS], best, strict=True):
            ranking[query.id] = ids[places].tolist()
    return ranking


def judge(pool: Pool, queries: Vectors, documents: Vectors) -> Retrieval:
    """Search the pool and score what was found."""
    rankings = rank(pool, queries, documents)
    return Retrieval(evaluate(rankings, pool.queries), pool.metric, score(rankings, pool.queries, pool.metric))


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
