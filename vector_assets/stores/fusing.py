"""Learning how to fuse: both parts are asked the calibration questions, and the weight is kept with the generation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from pgvector import Vector
from psycopg import sql

from vector_assets.encoder.image.samples import ImageText
from vector_assets.index.fusion import DEPTH, LEAST_QUESTIONS, RRF_K, Found, fit
from vector_assets.records import Generation, JudgedQuery, Vectors
from vector_assets.source.keys import row_key
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.made import Served
from vector_assets.stores.workspace import Workspace

MOST_QUESTIONS = 1000
_CODE = 1  # raised when the same questions would teach something else


class Learns(Protocol):
    """What learning asks of a collection's stores; stores/collection.py implements it."""

    workspace: Workspace
    collection: Collection

    @property
    def relation(self) -> Relation:
        """Where the rows are."""
        ...

    def calibration_queries(self) -> list[JudgedQuery]:
        """Return questions that may be learned from."""
        ...

    def calibration_version(self) -> str:
        """What changes when ``calibration_queries`` would return others; "" where there are none."""
        ...

    def questions(self, generation: Generation, texts: Sequence[str]) -> Vectors:
        """Encode questions with a generation's checkpoints."""
        ...


def learn_fusion(store: Learns, generation: Generation, *, log: Callable[[str], None], anew: bool = False) -> bool:
    """Learn the weights of one generation where the questions, the declaration or the code are not those known.

    What is learned, or why nothing is, is kept in its measures. Returns whether anything was learned anew. Asks the
    real functions, made for this generation under another name in a transaction that is rolled back.
    """
    lexical = store.collection.lexical
    if lexical is None:
        return False
    generations = store.workspace.generations
    known: Mapping[str, Any] = generations.measures(generation).get("fusion") or {}  # type: ignore[assignment]
    how = [str(_CODE), str(RRF_K), str(DEPTH), *([f"top {generation.top}"] if generation.top > 1 else [])]
    version = " ".join([*how, lexical.model_dump_json(), store.calibration_version()])
    if known.get("version") == version and not anew:
        return False
    judged = learnable(store)
    found: list[Found] = []
    if len(judged) >= LEAST_QUESTIONS:
        vectors = store.questions(generation, [query.text for query in judged])
        with generations.views.trial(store.collection, generation, store.relation) as (connection, served):
            if served.lexical is None:
                return False  # the words are not indexed yet: another time
            found = list(_asked(connection, served, judged, vectors))
    learned = fit(found)
    if learned:
        scores = ", ".join(f"{name} {score:.4f}" for name, score in learned.scores.items())
        log(f"fusion: {learned.reason}; nDCG@10 of {learned.questions} questions: {scores}")
        record = learned.record()
    else:
        record = {"reason": f"rrf: {_lack(len(judged))}"}
        log(f"fusion by rrf: {_lack(len(judged))}")
    generations.measure(generation, {"fusion": {**record, "version": version}})
    return True


def learnable(store: Learns) -> list[JudgedQuery]:
    """The questions that both parts can be asked, and that no encoder was trained on; at most MOST_QUESTIONS."""
    trained = _trained_on(store)
    judged = [
        query
        for query in store.calibration_queries()
        if query.among is None and not isinstance(query.text, ImageText) and query.text not in trained
    ]
    places = np.linspace(0, len(judged) - 1, min(MOST_QUESTIONS, len(judged))).astype(int)
    return [judged[place] for place in np.unique(places)]


def _trained_on(store: Learns) -> set[str]:
    """Questions that an encoder has learned: to these its vectors are better than to others."""
    found: set[str] = set()
    for space in store.collection.spaces:
        stored = store.workspace.checkpoints.encoder(store.collection.name, space)
        if stored and stored.training_set:
            found |= {pair.query for pair in store.workspace.training_sets.get(stored.training_set).split("train")}
    return found


def _asked(connection: Connection, served: Served, judged: Sequence[JudgedQuery], vectors: Vectors) -> Iterator[Found]:
    """Ask both parts each question."""
    keys = sql.SQL(", ").join(sql.Identifier(column.name) for column in served.relation.key)
    ask = sql.SQL("select {keys}, score from {function}(%s, %s) order by score desc, {keys}")
    near = ask.format(keys=keys, function=served.names.table("search", served.label))
    words = ask.format(keys=keys, function=served.names.table("search", served.label + "_bm25"))
    for query, vector in zip(judged, vectors, strict=True):
        parts = [
            [(row_key(row[:-1]), float(str(row[-1]))) for row in connection.execute(each, (of, DEPTH)).fetchall()]  # type: ignore[arg-type]
            for each, of in ((near, Vector(vector)), (words, query.text))
        ]
        yield Found(query.id, parts[0], parts[1], query.relevant)


def _lack(questions: int) -> str:
    if not questions:
        return "no calibration questions; declare evaluation.calibration, or train with pairs"
    return f"{questions} calibration questions, of which too few have an answer that was found"
