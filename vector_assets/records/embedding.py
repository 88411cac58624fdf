"""Generations, and the rows on their way into one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vector_assets.records.source import Key, Value

GenerationState = Literal["building", "candidate", "live", "retired", "failed"]
RowState = Literal["done", "empty", "failed"]


@dataclass(frozen=True, slots=True)
class Part:
    """One space's share of the vector: where it stands, which checkpoint wrote it, which fields it read."""

    space: str
    offset: int
    dims: int
    checkpoint: str
    fields: tuple[str, ...]

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

    def kept(self, part: int, chunk: int = 0) -> NDArray[np.float32] | None:
        """The part of an old vector, where it still says what the row says; None where it has to be encoded."""
        place = self.places[part] if self.same and self.same[part] and len(self.old) > chunk else None
        if place is None:
            return None
        values = self.old[chunk].vector[place]
        return values if np.any(values) else None


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
