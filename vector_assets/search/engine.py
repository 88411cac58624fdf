"""Search obeys the generation: it is resolved once, encoded with its checkpoint, and asked by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from vector_assets.embedding.question import question_vectors
from vector_assets.errors import NotLive
from vector_assets.records import Checkpoint, Encoder, Generation, Vectors
from vector_assets.search.ask import Ask, Method
from vector_assets.search.hits import AskedVector, Hit, Hits

LoadEncoder = Callable[[Checkpoint], Encoder]
_ATTEMPTS = 3  # a swap between resolving and asking is followed


class SearchReader(Protocol):
    """What a searching role may read; stores/reader.py implements it."""

    def live(self, collection: str) -> Generation:
        """Return the live generation; raises NotLive when there is none."""
        ...

    def checkpoint(self, digest: str) -> Checkpoint:
        """Return a checkpoint's folder, contract and canaries."""
        ...

    def search(self, generation: Generation, vector: Vectors, *, k: int, exact: bool) -> tuple[Hit, ...]:
        """Ask the generation's function; raises NotLive when another generation went live meanwhile."""
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
        self._generation: Generation | None = None

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
                hits = self._ranked(generation, ask)
            except NotLive:
                if attempt == _ATTEMPTS:
                    raise
                continue
            return Hits(hits, ask.method, generation.number, 1000 * (time.perf_counter() - started))
        raise AssertionError("the loop returns or raises")

    def vector(self, question: str) -> AskedVector:
        """Return what a question is encoded as by the live generation's checkpoints, for SQL of the user's own."""
        generation = self._current(fresh=True)
        return AskedVector(tuple(map(float, self.encode(generation, [question])[0])), generation.checkpoint_set)

    def encode(self, generation: Generation, questions: Sequence[str]) -> Vectors:
        """Encode questions with the checkpoints of a generation: (n, dims), unit length."""
        return question_vectors(generation, self._encoder, texts=questions)

    def _ranked(self, generation: Generation, ask: Ask) -> tuple[Hit, ...]:
        """Ask by the method that is wanted; each method is a case of its own."""
        vector = self._vector(generation, ask)
        return self.reader.search(generation, vector, k=ask.k, exact=ask.method == "exact")

    def _vector(self, generation: Generation, ask: Ask) -> Vectors:
        texts, images = [] if ask.text is None else [ask.text], [] if ask.image is None else [ask.image]
        vector: Vectors = question_vectors(generation, self._encoder, texts=texts, images=images)[0]
        return vector

    def _current(self, *, fresh: bool) -> Generation:
        if fresh or self._generation is None:
            self._generation = self.reader.live(self.collection)
        return self._generation

    def _encoder(self, digest: str) -> Encoder:
        if digest not in self._encoders:
            self._encoders[digest] = self._load(self.reader.checkpoint(digest))
        return self._encoders[digest]
