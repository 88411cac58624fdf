"""What comes after the first ranking: rows that were named leave, a model reads the best, repeats make way."""

from __future__ import annotations

import json

import numpy as np

from vector_assets.errors import UserError
from vector_assets.records import Generation, Vectors
from vector_assets.search.ask import Ask
from vector_assets.search.diverse import diversified, on_one_scale
from vector_assets.search.examples import Examples
from vector_assets.search.feedback import rocchio
from vector_assets.search.hits import Hit
from vector_assets.search.stored import Chosen, RowId, StoredVectors, VectorReader
from vector_assets.search.svm import NEAREST, SAMPLED, decision_values

#: Methods whose scores are cosines already.
_COSINES = ("vector", "exact")


def asked_vector(question: Vectors | None, examples: Examples | None) -> Vectors:
    """Return the unit vector (dims,) of a question, of examples, or of both."""
    if examples is None:
        assert question is not None, "an Ask has a question or examples"
        return question
    return rocchio(question, examples.liked, examples.unliked)


def by_machine(
    reader: VectorReader, generation: Generation, ask: Ask, question: Vectors | None, *, near: int = NEAREST
) -> tuple[Hit, ...]:
    """Rank the rows nearest to what is asked, and a sample of the table, by a support vector machine.

    Positives are the question and the liked rows, each one; negatives the disliked rows and the sample. The nearest
    rows are no negatives: most answers are among them (benchmarks/svm.py measures both). Rows that have left the
    source since the last sync are no hits: the next ones take their places, and a wider neighbourhood where it ends.
    """
    examples, wanted = ask.examples, ask.filter
    asked = asked_vector(question, examples)
    near = max(near, ask.pool)
    found = reader.vectors(generation, question=asked, near=near, sample=SAMPLED, filter=wanted)
    known = examples.ids if examples else frozenset()
    nearest, sample = _among(found["near"], known), _among(found["sample"], known)
    # The sample is no answer where a filter chooses: it was drawn from the whole table.
    pool = nearest if wanted is not None else [*nearest, *sample]
    if not pool:
        return ()
    none = np.zeros((0, generation.dims), np.float32)
    others, candidates = (
        np.concatenate([none, *(stored.vectors[[place]] for stored, place in each)]) for each in (sample, pool)
    )
    liked, disliked = (examples.liked, examples.unliked) if examples else (none, none)
    positives = liked if question is None else np.concatenate([question[None, :], liked])
    if not len(positives):
        raise UserError("method svm learns from what is liked; expected a question, or --like beside --unlike")
    values = decision_values(positives, others, candidates, disliked=disliked, c=ask.c)
    best = _best_of_rows(pool, values)
    hits = _hits_of(reader, generation, best, ask.pool)
    if len(hits) < min(ask.pool, len(best)) and len(set(found["near"].ids)) >= near:
        return by_machine(reader, generation, ask, question, near=2 * near)
    return hits


def _hits_of(reader: VectorReader, generation: Generation, best: tuple[Chosen, ...], k: int) -> tuple[Hit, ...]:
    """Return the first k of these rows that the source still has, as hits."""
    hits: tuple[Hit, ...] = ()
    at, more = 0, k
    while len(hits) < k and at < len(best):
        hits += reader.chosen(generation, best[at : at + more])
        at, more = at + more, max(k - len(hits), 2 * more if at else 0)
    return hits[:k]


def _among(stored: StoredVectors, known: frozenset[RowId]) -> list[tuple[StoredVectors, int]]:
    return [(stored, place) for place in range(len(stored)) if stored.ids[place] not in known]


def _best_of_rows(
    pool: list[tuple[StoredVectors, int]], values: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[Chosen, ...]:
    """Return the rows, best first, each by its best chunk; a row may be near and in the sample as well."""
    order = sorted(range(len(pool)), key=lambda at: (-values[at], pool[at][0].ids[pool[at][1]]))
    best: dict[RowId, Chosen] = {}
    for at in order:
        stored, place = pool[at]
        row = stored.ids[place]
        if row not in best:
            best[row] = Chosen(row, int(stored.chunks[place]), float(values[at]), float(stored.scores[place]))
    return tuple(best.values())


def without(hits: tuple[Hit, ...], examples: Examples | None) -> tuple[Hit, ...]:
    """Leave out the rows that were named: who names them knows them."""
    return hits if examples is None else tuple(hit for hit in hits if row_id(hit) not in examples.ids)


def spread(reader: VectorReader, generation: Generation, ask: Ask, hits: tuple[Hit, ...]) -> tuple[Hit, ...]:
    """Return k of the hits that repeat one another little."""
    found = reader.vectors(generation, ids=tuple(map(row_id, hits)))["key"]
    vectors = np.zeros((len(hits), generation.dims), np.float32)
    for at in reversed(range(len(found))):  # the first chunk stays where no other is named
        place = int(found.places[at])
        chunk = hits[place].chunk
        if chunk is None or chunk.number == found.chunks[at]:
            vectors[place] = found.vectors[at]
    scores = np.array([hit.score for hit in hits], np.float64)
    scale = scores if ask.method in _COSINES and ask.rerank is None else on_one_scale(scores)
    return tuple(hits[place] for place in diversified(scale, vectors, diverse=ask.diverse, k=ask.k))


def row_id(hit: Hit) -> RowId:
    """Return a hit's key with each column as text."""
    return tuple(map(str, json.loads(hit.key)))


def refuse_words_only(ask: Ask, method: str) -> None:
    """Raise UserError where a method that knows no vectors is asked with examples."""
    if ask.like or ask.unlike:
        raise UserError(f"--like and --unlike compare vectors, and method {method} knows none; expected another method")
