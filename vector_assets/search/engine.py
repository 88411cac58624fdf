"""Search obeys the generation: it is resolved once, encoded with its checkpoint, and asked by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from vector_assets.embedding.question import question_vectors
from vector_assets.encoder.text.counting import token_counter
from vector_assets.errors import NotLive, UserError
from vector_assets.records import Checkpoint, Encoder, Generation, Vectors
from vector_assets.records.calibration import Calibrated
from vector_assets.search.answers import answers, calibration_of
from vector_assets.search.ask import Ask, FusionName, Method
from vector_assets.search.context import Context, Count, cited
from vector_assets.search.examples import read_examples
from vector_assets.search.excerpts import excerpts, row_texts
from vector_assets.search.filters import Filter
from vector_assets.search.hits import AskedVector, Hit, Hits
from vector_assets.search.rerank import PairScorer, Reranking, reranked
from vector_assets.search.stages import asked_vector, by_machine, spread, without
from vector_assets.search.stored import VectorReader
from vector_assets.spec.field import FieldType

LoadEncoder = Callable[[Checkpoint], Encoder]
_ATTEMPTS = 3  # a swap between resolving and asking is followed
#: Seconds after which is looked again what scores mean: it is learned after a generation went live, and learned anew.
CALIBRATIONS_KEPT = 60.0


class SearchReader(VectorReader, Protocol):
    """What a searching role may read; stores/reader.py implements it."""

    def live(self, collection: str) -> Generation:
        """Return the live generation; raises NotLive when there is none."""
        ...

    def checkpoint(self, digest: str) -> Checkpoint:
        """Return a checkpoint's folder, contract and canaries."""
        ...

    def search(
        self, generation: Generation, vector: Vectors, *, k: int, exact: bool, filter: Filter | None = None
    ) -> tuple[Hit, ...]:
        """Ask the generation's function; raises NotLive when another generation went live meanwhile."""
        ...

    def key_types(self, collection: str) -> Mapping[str, FieldType]:
        """The key's columns, with the types that filters read their values by."""
        ...

    def calibrations(self, generation: Generation) -> Mapping[str, Calibrated]:
        """Return what is calibrated of a generation that is live, by the name of what scores."""
        ...

    def bm25(self, generation: Generation, question: str, *, k: int, filter: Filter | None = None) -> tuple[Hit, ...]:
        """Ask the collection's index of words; raises NotFound where there is none."""
        ...

    def hybrid(
        self, generation: Generation, vector: Vectors, words: str, *, k: int, fusion: FusionName,
        filter: Filter | None = None,
    ) -> tuple[Hit, ...]:  # fmt: skip
        """Ask vectors and words in one statement; raises NotFound where there is no index of words."""
        ...

    def record(self, collection: str, question: str) -> None:
        """Note a question, where its collection keeps some."""
        ...


class SearchEngine:
    """Answers questions of one collection. Encoders are loaded, and their canaries checked, once per checkpoint."""

    def __init__(self, reader: SearchReader, collection: str, load: LoadEncoder) -> None:
        """Keep the parts; nothing is loaded before the first question."""
        self.reader = reader
        self.collection = collection
        self._load = load
        self._encoders: dict[str, Encoder] = {}
        self._counters: dict[str, tuple[Count, str]] = {}
        self._scorers: dict[Reranking, PairScorer] = {}
        self._generation: Generation | None = None
        self._calibrations: tuple[int, float, Mapping[str, Calibrated]] = (0, 0.0, {})

    def search(
        self, question: str | None = None, *, image: bytes | None = None, k: int = 10, method: Method = "vector"
    ) -> Hits:
        """Return the k nearest rows to a text, an image or both."""
        return self.answer(Ask(question, image, k=k, method=method))

    def answer(self, ask: Ask) -> Hits:
        """Return what a question finds. A swap in between is followed, never mixed."""
        started = time.perf_counter()
        for attempt in range(1, _ATTEMPTS + 1):
            generation = self._current(fresh=attempt > 1)
            try:
                hits = self._staged(generation, ask)
            except NotLive:
                if attempt == _ATTEMPTS:
                    raise
                continue
            judge = self._scorer(ask.rerank).digest if ask.rerank else None
            left = answers(ask, hits, self._calibrated(generation), collection=self.collection)
            ms = 1000 * (time.perf_counter() - started)
            return Hits(left.hits, ask.method, generation.number, ms, judge, left.floor)
        raise AssertionError("the loop returns or raises")

    def context(self, ask: Ask, hits: Hits, *, tokens: int) -> Context:
        """Return cited passages of what a question found, within a budget of tokens.

        Where no hit is left, none of them was good enough to answer the question, and it counts as not answered; so
        does a question without a passage, and ``why`` says which it was.
        """
        started = time.perf_counter()
        generation = self._current(fresh=False)
        if generation.number != hits.generation:
            raise NotLive(f"collection {self.collection}: another generation went live meanwhile; ask again")
        if ask.like or ask.unlike:
            ask = replace(ask, examples=read_examples(self.reader, generation, ask.like, ask.unlike))
        by_cosine = ask.method in ("vector", "exact") and ask.rerank is None and not ask.diverse
        question = self._vector(generation, ask) if generation.chunked is not None else None
        found = excerpts(self.reader, generation, hits.hits, question, by_cosine=by_cosine)
        texts = row_texts(generation, hits.hits)
        count, counted_by = self._counter(generation)
        passages, used = cited(found, texts.__getitem__, count, tokens=tokens)
        ms = hits.ms + 1000 * (time.perf_counter() - started)
        why = ""
        if not hits.hits:
            why = hits.floor.why if hits.floor else "no answer (nothing was found)"
        elif not passages:
            said = any(one.text.strip() for one in found)
            lacks = f"no passage of it fits into {tokens} tokens" if said else "it has no text that can be cited"
            why = f"no answer ({len(hits.hits)} found, but {lacks})"
        return Context(passages, used, tokens, counted_by, not why, hits.method, hits.generation, ms, why)

    def _counter(self, generation: Generation) -> tuple[Count, str]:
        part = next((part for part in generation.parts if part.kind == "text"), None)
        if part is None:
            raise UserError(f"collection {self.collection} has no space of texts, so there is nothing to cite")
        if part.checkpoint not in self._counters:
            self._counters[part.checkpoint] = token_counter(self.reader.checkpoint(part.checkpoint).folder)
        return self._counters[part.checkpoint]

    def calibrates(self, ask: Ask) -> bool:
        """Tell whether it is known what the scores of a question mean."""
        known = self._calibrated(self._current(fresh=False))
        return calibration_of(replace(ask, precision=None), known, collection=self.collection) is not None

    def vector(self, question: str) -> AskedVector:
        """Return what a question is encoded as by the live generation's checkpoints, for SQL of the user's own."""
        generation = self._current(fresh=True)
        return AskedVector(tuple(map(float, self.encode(generation, [question])[0])), generation.checkpoint_set)

    def encode(self, generation: Generation, questions: Sequence[str]) -> Vectors:
        """Encode questions with the checkpoints of a generation: (n, dims), unit length."""
        return question_vectors(generation, self._encoder, texts=questions)

    def _staged(self, generation: Generation, ask: Ask) -> tuple[Hit, ...]:
        """Find more rows than are wanted where later stages choose among them, and let these choose."""
        if ask.like or ask.unlike:
            ask = replace(ask, examples=read_examples(self.reader, generation, ask.like, ask.unlike))
        hits = without(self._ranked(generation, ask), ask.examples)
        if ask.rerank and ask.text is not None:
            scorer = self._scorer(ask.rerank)
            hits = reranked(scorer, generation, ask.text, hits, top=ask.candidates)
        if ask.diverse:
            hits = spread(self.reader, generation, ask, hits)
        return hits[: ask.k]

    def _ranked(self, generation: Generation, ask: Ask) -> tuple[Hit, ...]:
        """Ask for ``ask.pool`` rows by the method that is wanted; each method is a case of its own."""
        if ask.method == "svm":
            return by_machine(self.reader, generation, ask, self._question(generation, ask))
        if ask.method == "bm25":
            return self.reader.bm25(generation, ask.text or "", k=ask.pool, filter=ask.filter)
        vector = self._vector(generation, ask)
        if ask.method == "hybrid":
            words = ask.text or ""
            return self.reader.hybrid(generation, vector, words, k=ask.pool, fusion=ask.fusion, filter=ask.filter)
        return self.reader.search(generation, vector, k=ask.pool, exact=ask.method == "exact", filter=ask.filter)

    def _vector(self, generation: Generation, ask: Ask) -> Vectors:
        return asked_vector(self._question(generation, ask), ask.examples)

    def _question(self, generation: Generation, ask: Ask) -> Vectors | None:
        """Encode what is asked in words and as an image; None where only rows are named."""
        if ask.text is None and ask.image is None:
            return None
        texts, images = [] if ask.text is None else [ask.text], [] if ask.image is None else [ask.image]
        vector: Vectors = question_vectors(generation, self._encoder, texts=texts, images=images)[0]
        return vector

    def _current(self, *, fresh: bool) -> Generation:
        if fresh or self._generation is None:
            self._generation = self.reader.live(self.collection)
        return self._generation

    def _scorer(self, reranking: Reranking) -> PairScorer:
        from vector_assets.encoder.text.cross import CrossEncoder

        key = replace(reranking, top=1)  # how many are read is no matter of the model
        if key not in self._scorers:
            self._scorers[key] = CrossEncoder(reranking.folder, max_tokens=reranking.max_tokens)
        return self._scorers[key]

    def _calibrated(self, generation: Generation) -> Mapping[str, Calibrated]:
        number, read, known = self._calibrations
        if number != generation.number or time.monotonic() - read >= CALIBRATIONS_KEPT:
            known = self.reader.calibrations(generation)
            self._calibrations = (generation.number, time.monotonic(), known)
        return known

    def _encoder(self, digest: str) -> Encoder:
        if digest not in self._encoders:
            self._encoders[digest] = self._load(self.reader.checkpoint(digest))
        return self._encoders[digest]
