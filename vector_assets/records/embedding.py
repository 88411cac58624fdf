"""Generations, and the rows on their way into one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from vector_assets.records.encoder import Kind
from vector_assets.records.source import Key, Value

IndexType = Literal["hnsw", "ivfflat", "exact"]
Precision = Literal["float32", "half", "binary"]
GenerationState = Literal["building", "candidate", "live", "retired", "failed"]
RowState = Literal["done", "empty", "failed"]
ChunkKind = Literal["sentence", "window", "paragraph", "tokens", "markdown", "code"]


@dataclass(frozen=True, slots=True)
class ChunkRule:
    """How a text is cut into chunks. Lengths are in characters; by tokens, in tokens of the encoder."""

    by: ChunkKind
    size: int  # no chunk is longer
    overlap: int = 0  # said again at the start of the next chunk of the same paragraph, at most
    sentences: int = 3  # of a window
    stride: int = 1  # sentences from the start of a window to that of the next
    language: str = "python"  # of code, or that spaCy cuts sentences of
    splitter: Literal["rules", "spacy"] = "rules"  # what finds the ends of sentences

    def meaning(self) -> dict[str, object]:
        """What a digest of it covers: of what came later only what its kind reads, so that old digests hold."""
        later = {"window": ("sentences", "stride"), "code": ("language",)}.get(self.by, ())
        split = () if self.splitter == "rules" else ("splitter", "language")
        return {name: getattr(self, name) for name in ("by", "size", "overlap", *later, *split)}


@dataclass(frozen=True, slots=True)
class Part:
    """One space's share of the vector: where it stands, which checkpoint wrote it, which fields it read.

    At most one part of a generation has a chunk rule: its texts are the chunks, and the others are repeated on each.
    """

    space: str
    offset: int
    dims: int
    checkpoint: str
    fields: tuple[str, ...]
    chunk: ChunkRule | None = None
    kind: Kind = "text"
    top: int = 1  # a row's score is the mean of its so many best chunks; a matter of the query, in no digest

    @classmethod
    def of(cls, stored: Mapping[str, object]) -> Part:
        """Read a part of a stored layout; those written before there were chunks or images say nothing of them."""
        chunk = cast(Mapping[str, object] | None, stored.get("chunk"))
        return cls(
            space=str(stored["space"]),
            offset=int(str(stored["offset"])),
            dims=int(str(stored["dims"])),
            checkpoint=str(stored["checkpoint"]),
            fields=tuple(cast(list[str], stored["fields"])),
            chunk=ChunkRule(**cast(dict[str, Any], dict(chunk))) if chunk else None,
            kind=cast(Kind, stored.get("kind", "text")),
            top=int(str(stored.get("top", 1))),
        )

    @property
    def place(self) -> slice:
        """The part's columns in a matrix of whole vectors."""
        return slice(self.offset, self.offset + self.dims)


@dataclass(frozen=True, slots=True)
class Generation:
    """One table of vectors for one fixed set of checkpoints. ``checkpoint_set`` digests what a vector means."""

    collection: str
    number: int
    state: GenerationState
    checkpoint_set: str
    parts: tuple[Part, ...]
    dims: int
    vector_type: Literal["vector", "halfvec"]
    filters: tuple[str, ...]
    metric: str
    ef_search: int | None = None  # or ivfflat.probes, or the candidates that an index of bits hands on
    decision: str | None = None
    index_type: IndexType = "hnsw"
    precision: Precision = "float32"  # of what the index holds; half is that of the column, too

    @property
    def table(self) -> str:
        """Name of the vectors' table in the embedding schema; the rows' table adds ``_rows``."""
        return f"{self.collection}_g{self.number}"

    @property
    def index_kind(self) -> str:
        """What its index is called: ``hnsw of half``, ``exact``."""
        return "exact" if self.index_type == "exact" else f"{self.index_type} of {self.precision}"

    def is_as_precise(self, other: Generation) -> bool:
        """Tell whether its vectors may be taken over by another: what was rounded to halves stays rounded."""
        return self.vector_type == "vector" or other.vector_type == "halfvec"

    @property
    def chunked(self) -> int | None:
        """Which part is cut into chunks; None when every row has exactly one vector."""
        return next((number for number, part in enumerate(self.parts) if part.chunk), None)

    @property
    def top(self) -> int:
        """A row's score is the mean of so many of its best chunks, of all that it has where it has fewer: 1 is max."""
        return 1 if self.chunked is None else self.parts[self.chunked].top

    @property
    def checkpoints(self) -> dict[str, str]:
        """Checkpoint digest of each space."""
        return {part.space: part.checkpoint for part in self.parts}


@dataclass(frozen=True, slots=True)
class OldChunk:
    """A vector that the row had: what may be taken over instead of being encoded again."""

    number: int
    digest: bytes
    vector: NDArray[np.float32]  # (dims,), whole, of the generation that it is taken from
    present: int
    truncated: bool


@dataclass(frozen=True, slots=True)
class PendingRow:
    """A row that needs work: what each space reads of it, and the vectors it had.

    ``places`` says for each part where it stands in an old vector, None where the old generation has no part of the
    same meaning; ``same`` tells for which parts the inputs are what they were.
    """

    key: Key
    row_digest: bytes
    digests: tuple[bytes, ...]  # of each space's inputs, in layout order
    inputs: tuple[tuple[Value, ...], ...]  # field values of each space
    old: tuple[OldChunk, ...] = ()
    places: tuple[slice | None, ...] = ()
    same: tuple[bool, ...] = ()

    def kept(self, part: int) -> NDArray[np.float32] | None:
        """A row-level part of the old vectors, where the row still says it; None where it has to be encoded."""
        place = self.places[part] if self.same and self.same[part] and self.old else None
        if place is None:
            return None
        values = self.old[0].vector[place]
        return values if np.any(values) else None

    def kept_chunks(self, part: int) -> dict[bytes, OldChunk]:
        """The old chunks that have a chunked part, by the digest of their text: wherever they stood, they still hold.

        Empty where the old generation has no part of the same meaning.
        """
        place = self.places[part] if self.places else None
        if place is None:
            return {}
        return {old.digest: old for old in self.old if np.any(old.vector[place])}


@dataclass(frozen=True, slots=True)
class Chunk:
    """One vector of a row, with the digest of its text and where the text stands in the row."""

    number: int
    digest: bytes
    start: int
    stop: int
    vector: NDArray[np.float32]  # (dims,)
    present: int  # bit i is set when space i has a part
    truncated: bool


@dataclass(frozen=True, slots=True)
class EmbeddedRow:
    """The outcome for one row. A failed row has an error and no chunks; an empty one has neither."""

    row: PendingRow
    state: RowState
    chunks: tuple[Chunk, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class EmbedReport:
    """Counts of one sync of one generation."""

    generation: int
    rows: int
    encoded: int
    reused: int
    unchanged: int
    removed: int
    empty: int
    failed: int
    truncated: int
    superseded: int  # encoded, but the row had moved on before the write
    seconds: float
    chunks_encoded: int = 0  # chunks whose text was encoded; an unchunked row is one
    chunks_reused: int = 0  # chunks that an old vector of the same text was taken over for
    unparsed: int = 0  # rows whose code could not be parsed, and was cut by paragraphs
