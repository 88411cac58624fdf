"""Search obeys the generation: it is resolved once, encoded with its checkpoint, and asked by name."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from vector_assets.embedding.question import question_vectors
from vector_assets.embedding.text import row_text
from vector_assets.errors import NotLive, UserError
from vector_assets.records import Checkpoint, Encoder, Generation, Part, Value, Vectors

Method = Literal["vector", "exact"]
LoadEncoder = Callable[[Checkpoint], Encoder]


@dataclass(frozen=True, slots=True)
class Passage:
    """The chunk that a row was found by: its number, and [start, stop) of the row's text.

    ``text`` is cut from the row as it is now; ``stale`` tells that it is no longer what was encoded.
    """

    number: int
    text: str
    start: int
    stop: int
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """One row found: its id, its cosine to the question, its fields, and whether the row has moved on since.

    ``key`` is the JSON row key that judgements and labels use. A row in chunks is found once, by its best ``chunk``.
    """

    id: str
    key: str
    score: float
    row: Mapping[str, Value]
    stale: bool = False
    chunk: Passage | None = None


@dataclass(frozen=True, slots=True)
class Hits:
    """The answer to one question. ``ms`` is all of it, encoding included."""

    hits: tuple[Hit, ...]
    method: Method
    generation: int
    ms: float


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
        self, question: str | None, *, image: bytes | None = None, k: int = 10, method: Method = "vector"
    ) -> Hits:
        """Return the k nearest rows to a text, an image or both. A swap in between is followed, never mixed."""
        started = time.perf_counter()
        for attempt in (1, 2, 3):
            generation = self._current(fresh=attempt > 1)
            vector = self._asked(generation, question, image)
            try:
                hits = self.reader.search(generation, vector, k=k, exact=method == "exact")
            except NotLive:
                if attempt == 3:
                    raise
                continue
            return Hits(hits, method, generation.number, 1000 * (time.perf_counter() - started))
        raise AssertionError("the loop returns or raises")

    def encode(self, generation: Generation, questions: Sequence[str]) -> Vectors:
        """Encode questions with the checkpoints of a generation: (n, dims), unit length."""
        return question_vectors(generation, self._encoder, texts=questions)

    def _asked(self, generation: Generation, question: str | None, image: bytes | None) -> Vectors:
        if question is None and image is None:
            raise UserError(f"collection {self.collection}: nothing is asked; expected a question or an image")
        texts, images = [] if question is None else [question], [] if image is None else [image]
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


def passage(
    part: Part, row: Mapping[str, Value], *, number: int, start: int, stop: int, digest: bytes
) -> Passage | None:
    """Cut the passage that was encoded from the row's text of today; None for a vector without text of its own."""
    if start == stop:
        return None
    text = row_text([row[name] for name in part.fields])[start:stop]
    return Passage(number, text, start, stop, stale=hashlib.sha256(text.encode()).digest() != digest)
