"""Frozen records and Protocols that pass between stages. No stage owns them, so no stage imports another for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray

Value = str | int | float | datetime | None
Key = tuple[str | int, ...]
Vectors = NDArray[np.float32]  # (n, dims)


# -- source ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of a row's key, with its Postgres type as SQL spells it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a source: its key, and its values in the order of the collection's fields."""

    key: Key
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read. ``where`` names file and line, ``content`` is its start, ``key`` its key if known."""

    where: str
    error: str
    content: str = ""
    key: Key | None = None


class SourceReader(Protocol):
    """Reads the rows of one source. Readers of copied sources implement this; postgres tables are used in place."""

    @property
    def key(self) -> tuple[KeyColumn, ...]:
        """The key's columns."""
        ...

    def fingerprint(self) -> str:
        """Digest of what can be seen without reading the rows: names, sizes, times, versions. Equal means unchanged."""
        ...

    def rows(self) -> Iterator[RawRow | BadRow]:
        """Stream the rows. Unreadable ones come as BadRow and the rest goes on; SourceError ends the reading."""
        ...


@dataclass(frozen=True, slots=True)
class SourcePart:
    """One file of a source. ``version`` changes with its content; ``partition`` is the Dagster partition it is of."""

    name: str
    version: str
    partition: str = ""


class PartedReader(SourceReader, Protocol):
    """A source that consists of parts, of which only the changed ones are read again."""

    @property
    def scope(self) -> str:
        """Digest of what is read of a part, and how. With another scope all parts are read again."""
        ...

    def parts(self) -> tuple[SourcePart, ...]:
        """Return what the source consists of now."""
        ...

    def read(self, parts: Sequence[SourcePart]) -> Iterator[tuple[SourcePart, RawRow | BadRow]]:
        """Stream the rows of some parts. An id that stands twice in them raises SourceError."""
        ...


class ChangesReader(SourceReader, Protocol):
    """A source that can be asked for what changed since a position of its own."""

    @property
    def scope(self) -> str:
        """Digest of what is read, and how. A position of another scope is worth nothing."""
        ...

    def changes(self, since: str | None) -> Iterator[RawRow | BadRow]:
        """Stream rows that changed at ``since`` or later, the whole source when None."""
        ...

    def reached(self) -> str | None:
        """Return the position up to which ``changes`` has read, once it has ended; None where there was no row."""
        ...

    def keys(self) -> Iterator[Key] | None:
        """Stream the keys of all rows that are there; None where rows are declared never to leave."""
        ...

    def rows_of(self, keys: Sequence[Key]) -> Iterator[RawRow | BadRow]:
        """Stream the rows of some keys; one that is gone is left out."""
        ...


# -- training --------------------------------------------------------------------------------------------------

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the document that answers it. ``key`` is the JSON row key of the answer, "" when it is no row.

    A labelled text is one as well: its query is empty, and ``label`` says what it is.
    """

    query: str
    document: str
    group: str
    split: SplitName
    key: str = ""
    label: str = ""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A snapshot of pairs with its splits. ``digest`` is over the pairs; ``report`` counts what was left out."""

    digest: str
    pairs: tuple[Pair, ...]
    report: Mapping[str, int]

    def split(self, name: SplitName) -> tuple[Pair, ...]:
        """The pairs of one split, in stored order."""
        return tuple(pair for pair in self.pairs if pair.split == name)


class RunLog(Protocol):
    """Where training writes what it does; stores/mlflow_runs.py implements it."""

    def params(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Log parameters once."""
        ...

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Log numbers of one step."""
        ...

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep a file with the run."""
        ...

    def tags(self, values: Mapping[str, str]) -> None:
        """Label the run."""
        ...


# -- encoder ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of some texts, in their order; ``truncated`` tells which were cut at the encoder's limit."""

    vectors: Vectors
    truncated: NDArray[np.bool_]
    tokens: int


class Encoder(Protocol):
    """Maps texts to unit vectors. ``digest`` names the checkpoint, ``dims`` the width."""

    @property
    def digest(self) -> str:
        """sha256 over the checkpoint's files."""
        ...

    @property
    def dims(self) -> int:
        """Width of a vector."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Encode rows in bulk, in the fast precision that the machine was measured to allow."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Encode questions, in full precision."""
        ...


@dataclass(frozen=True, slots=True)
class Canary:
    """A stored input with the vector it had when the checkpoint was made."""

    role: Literal["query", "document"]
    text: str
    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of an encoder as stored: a folder, its digest, what its vectors mean, and where it was trained."""

    digest: str
    folder: Path
    contract: Mapping[str, str | int | float | bool | None]
    canaries: tuple[Canary, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    run_id: str | None = None


# -- embedding -------------------------------------------------------------------------------------------------

GenerationState = Literal["building", "candidate", "live", "retired", "failed"]
RowState = Literal["done", "empty", "failed"]


@dataclass(frozen=True, slots=True)
class ChunkRule:
    """How a text is cut into chunks. Lengths are in characters."""

    by: Literal["sentence", "paragraph"]
    size: int  # no chunk is longer
    overlap: int = 0  # said again at the start of the next chunk of the same paragraph, at most


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

    @classmethod
    def of(cls, stored: Mapping[str, object]) -> Part:
        """Read a part of a stored layout; those written before there were chunks have none."""
        chunk = cast(Mapping[str, object] | None, stored.get("chunk"))
        return cls(
            space=str(stored["space"]),
            offset=int(str(stored["offset"])),
            dims=int(str(stored["dims"])),
            checkpoint=str(stored["checkpoint"]),
            fields=tuple(cast(list[str], stored["fields"])),
            chunk=ChunkRule(**cast(dict[str, Any], dict(chunk))) if chunk else None,
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
    ef_search: int | None = None
    decision: str | None = None

    @property
    def table(self) -> str:
        """Name of the vectors' table in the embedding schema; the rows' table adds ``_rows``."""
        return f"{self.collection}_g{self.number}"

    @property
    def chunked(self) -> int | None:
        """Which part is cut into chunks; None when every row has exactly one vector."""
        return next((number for number, part in enumerate(self.parts) if part.chunk), None)

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


# -- evaluation ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A question with its known answers: JSON row key to gain."""

    id: str
    text: str
    relevant: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired bootstrap of one metric: means, mean difference (new - old), its 95 % interval, two-sided p."""

    metric: str
    queries: int
    old: float
    new: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of a candidate, and why in one sentence."""

    decision: Literal["promote", "keep", "needs_evaluation"]
    reason: str
    comparison: Comparison | None = None
