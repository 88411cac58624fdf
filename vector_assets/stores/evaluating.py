"""Scores of the live generation on judged queries, with the candidate and BM25 beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vector_assets.errors import NotFound, UserError
from vector_assets.index.comparing import Arm, bm25_arm
from vector_assets.index.retrieve import exact_rankings
from vector_assets.metrics import Rankings, evaluate, paired_bootstrap, score
from vector_assets.records import Generation, JudgedQuery, Vectors
from vector_assets.source.judged import read_judged
from vector_assets.spec import Evaluation
from vector_assets.stores.asking import synthetic_queries
from vector_assets.stores.collection import CollectionStore


@dataclass(frozen=True, slots=True)
class Evaluated:
    """Means over the queries, of one generation by one method, and the table with what stands beside it.

    ``against`` in a line compares that arm (old) with the live generation (new). ``synthetic``: the queries were made
    from words of the rows, nobody judged them.
    """

    scores: dict[str, float]
    queries: int
    generation: int
    method: str
    arms: tuple[Arm, ...] = ()
    synthetic: bool = False


def evaluate_live(
    store: CollectionStore,
    *,
    method: Literal["vector", "exact"],
    queries: str | None = None,
    qrels: str | None = None,
    synthetic: bool = False,
) -> Evaluated:
    """Score live on the given queries, else on the declared or held-out ones. Raises NotFound without any.

    ``vector`` asks the search function as people do, ``exact`` scans all vectors; held-out labelled texts are always
    asked exactly, since they look at some rows only. ``synthetic`` asks known items instead. The candidate, where there
    is one, is asked by an exact scan, and BM25 of all rows.
    """
    if method not in ("vector", "exact"):
        raise UserError(f"--method {method}: evaluate scores vector or exact, with bm25 beside it")
    live = store.workspace.generations.live(store.collection.name)
    if live is None:
        raise NotFound(f"collection {store.collection.name} has no live generation; materialize it first")
    judged = _queries(store, queries, qrels, synthetic=synthetic)
    questions = store.questions(live, [query.text for query in judged])
    if method == "exact" or any(query.among is not None for query in judged):
        method, rankings = "exact", exact_rankings(store.blocks(live), questions, judged)
    else:
        rankings = _ask(store, judged, questions)
    scores = evaluate(rankings, judged)
    arms = _beside(store, judged, rankings)
    return Evaluated(scores, len(judged), live.number, method, (Arm("live", scores), *arms), synthetic)


def _queries(
    store: CollectionStore, queries: str | None, qrels: str | None, *, synthetic: bool
) -> Sequence[JudgedQuery]:
    if synthetic:
        made = synthetic_queries(store.workspace, store.collection, store.relation)
        if not made:
            raise NotFound(
                f"collection {store.collection.name} gives no synthetic queries: evaluation.synthetic is 0, or no row "
                "has a sentence of 4 words"
            )
        return made
    judged = read_judged(queries, qrels, store.relation.key) if queries and qrels else store.judged()
    if not judged:
        raise NotFound(
            f"collection {store.collection.name} has no held-out queries; declare evaluation: or give "
            "--queries and --qrels, or --synthetic for queries made from its rows"
        )
    return judged


def _beside(store: CollectionStore, judged: Sequence[JudgedQuery], live: Rankings) -> list[Arm]:
    """Score the candidate, where one waits, and BM25 on the same queries."""
    arms = []
    declared = store.collection.evaluation or Evaluation()
    candidate = _waiting(store)
    if candidate:
        questions = store.questions(candidate, [query.text for query in judged])
        found = exact_rankings(store.blocks(candidate), questions, judged)
        against = paired_bootstrap(
            score(found, judged, store.metric), score(live, judged, store.metric), metric=store.metric
        )
        arms.append(Arm("candidate", evaluate(found, judged), against))
    arms.append(bm25_arm(judged, live, store, metric=store.metric, limit=declared.bm25_rows))
    return arms


def _waiting(store: CollectionStore) -> Generation | None:
    """Return the newest candidate that is newer than live."""
    generations = store.all()
    newest = next((each for each in generations if each.state in ("candidate", "live")), None)
    return newest if newest and newest.state == "candidate" else None


def _ask(store: CollectionStore, judged: Sequence[JudgedQuery], questions: Vectors) -> dict[str, list[str]]:
    reader = store.workspace.reader()
    live = reader.live(store.collection.name)
    try:
        return {
            query.id: [hit.key for hit in reader.search(live, vector, k=100, exact=False)]
            for query, vector in zip(judged, questions, strict=True)
        }
    finally:
        reader.close()
