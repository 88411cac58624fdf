"""Parts that tests put in place of models: an encoder whose scores are computed by hand, and a store that uses it."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vector_assets.embedding.layout import Layout, SpaceEncoder, plan_layout
from vector_assets.embedding.run import EmbeddingRun, run_embeddings
from vector_assets.index.integrity import Checked, check_canaries_found
from vector_assets.records import (
    BadRow,
    Canary,
    Checkpoint,
    Encoded,
    Generation,
    JudgedQuery,
    KeyColumn,
    RawRow,
    Vectors,
)
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.workspace import Workspace

Execute = Callable[..., list[tuple[object, ...]]]
Declare = Callable[..., Collection]

ANIMALS = ("cat", "dog", "owl", "fish")


@dataclass
class KeywordEncoder:
    """Text that contains keyword i gets axis i, several are summed; without any it gets the axis after the last.

    ``order`` permutes the axes of questions only: with another order than the documents' the encoder is a bad one.
    """

    words: Sequence[str] = ANIMALS
    seed: str = ""
    width: int | None = None
    order: Sequence[int] | None = None
    during: Callable[[Sequence[str]], None] | None = None
    encoded: list[str] = field(default_factory=list)
    calls: int = 0
    refuses: Sequence[str] = ("poison",)

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((tuple(self.words), self.seed, self.dims, self.order)).encode()).hexdigest()

    @property
    def dims(self) -> int:
        return self.width or len(self.words) + 1

    @property
    def bulk_bound(self) -> float:
        return 0.9999

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        self.calls += 1
        if self.during:
            self.during(texts)
        for text in texts:
            if any(word in text for word in self.refuses):
                raise ValueError("this text cannot be encoded")
        self.encoded += texts
        return Encoded(self._vectors(texts), np.array(["long" in text for text in texts], np.bool_), len(texts))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        vectors = self._vectors(texts)
        return vectors if self.order is None else vectors[:, list(self.order)]

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Its tokens are words, and signs alone."""
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        vectors = np.zeros((len(texts), self.dims), np.float32)
        for row, text in enumerate(texts):
            axes = [axis for axis, word in enumerate(self.words) if word in text] or [len(self.words)]
            vectors[row, axes] = 1 / math.sqrt(len(axes))
        return vectors


class FakeStore(CollectionStore):
    """The real stores of a collection, with keyword encoders in place of checkpoints."""

    def __init__(self, workspace: Workspace, collection: Collection, *encoders: KeywordEncoder, page: int = 64) -> None:
        super().__init__(workspace, collection)
        self.page = page
        self.questions_asked: list[JudgedQuery] = []
        self.questions_learned: list[JudgedQuery] = []
        self.canaries_pass = True
        self._known: dict[str, KeywordEncoder] = {}
        self.use(*encoders)

    def use(self, *encoders: KeywordEncoder) -> None:
        """Make these the encoders of the spaces, as the encoder assets would."""
        self.chosen = dict(zip(self.collection.spaces, encoders, strict=True))
        self._known |= {encoder.digest: encoder for encoder in encoders}
        for encoder in encoders:
            canaries = (
                Canary("query", encoder.words[0], tuple(map(float, encoder.encode_queries([encoder.words[0]])[0]))),
            )
            contract = {"dims": encoder.dims}
            self.workspace.checkpoints.save(Checkpoint(encoder.digest, Path("/nowhere"), contract, canaries))

    def layout(self) -> Layout:
        return plan_layout(self.collection, {s: SpaceEncoder(e.digest, e.dims) for s, e in self.chosen.items()})

    def embed(self, *, whole: bool = False) -> EmbeddingRun:
        """One run of the embeddings stage."""
        return run_embeddings(self.collection, self.layout(), self, self.encoders, whole=whole)

    def judged(self) -> list[JudgedQuery]:
        return self.questions_asked

    def calibration_queries(self) -> list[JudgedQuery]:
        return self.questions_learned

    def calibration_version(self) -> str:
        return hashlib.sha256(repr(self.questions_learned).encode()).hexdigest() if self.questions_learned else ""

    def questions_version(self) -> str:
        return hashlib.sha256(repr(self.questions_asked).encode()).hexdigest()

    def canaries(self, generation: Generation) -> Checked:
        cosine = 1.0 if self.canaries_pass else 0.5
        return check_canaries_found(
            cosine, cosine, query_bound=0.9999, document_bound=0.9999, passed=self.canaries_pass
        )

    def live(self) -> Generation:
        """The live generation, which must be there."""
        return next(g for g in self.all() if g.state == "live")

    def reader_encoder(self, checkpoint: Checkpoint) -> KeywordEncoder:
        """What a SearchEngine loads for a checkpoint."""
        return self._known[checkpoint.digest]

    def require_intact(self, digest: str) -> None:
        """A keyword encoder has no files."""

    def _encoder(self, digest: str) -> KeywordEncoder:  # type: ignore[override]
        return self._known[digest]


@dataclass
class ListReader:
    """A source that is a list."""

    items: list[RawRow | BadRow]
    mark: str = "1"
    kind: str = "text"
    reads: int = 0

    @property
    def key(self) -> tuple[KeyColumn, ...]:
        return (KeyColumn("id", self.kind),)

    def fingerprint(self) -> str:
        return self.mark

    def rows(self) -> Iterator[RawRow | BadRow]:
        self.reads += 1
        yield from self.items
