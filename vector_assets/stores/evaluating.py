"""Scores of the live generation on judged queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vector_assets.errors import NotFound
from vector_assets.index.retrieve import exact_rankings
from vector_assets.metrics import evaluate
from vector_assets.records import JudgedQuery, Vectors
from vector_assets.source.judged import read_judged
from vector_assets.stores.collection import CollectionStore


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Means over the queries, of one generation by one method."""

    scores: dict[str, float]
    queries: int
    generation: int
    method: str


def evaluate_live(
    store: CollectionStore, *, method: Literal["vector", "exact"], queries: str | None = None, qrels: str | None = None
) -> Evaluated:
    """Score live on the given queries, else on the declared or held-out ones. Raises NotFound without any.

    ``vector`` asks the search function as people do, ``exact`` scans all vectors.
    """
    live = store.workspace.generations.live(store.collection.name)
    if live is None:
        raise NotFound(f"collection {store.collection.name} has no live generation; materialize it first")
    judged = read_judged(queries, qrels, store.relation.key) if queries and qrels else store.judged()
    if not judged:
        raise NotFound(
            f"collection {store.collection.name} has no held-out queries; declare evaluation: or give "
            "--queries and --qrels"
        )
    questions = store.questions(live, [query.text for query in judged])
    if method == "exact":
        rankings = exact_rankings(store.blocks(live), questions, judged)
    else:
        rankings = _ask(store, judged, questions)
    return Evaluated(evaluate(rankings, judged), len(judged), live.number, method)


def _ask(store: CollectionStore, judged: list[JudgedQuery], questions: Vectors) -> dict[str, list[str]]:
    reader = store.workspace.reader()
    live = reader.live(store.collection.name)
    try:
        return {
            query.id: [hit.key for hit in reader.search(live, vector, k=100, exact=False)]
            for query, vector in zip(judged, questions, strict=True)
        }
    finally:
        reader.close()
