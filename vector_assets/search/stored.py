"""Vectors that stand in the database, as search reads them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Generation, Vectors
from vector_assets.search.hits import Hit

#: A row's key, each column as text.
RowId = tuple[str, ...]
Role = Literal["key", "near", "sample"]


@dataclass(frozen=True, slots=True)
class StoredVectors:
    """Vectors with what they are of; all of one length. A row in chunks may be there several times.

    ``places`` say to which of the rows that were asked for a vector belongs, from 0, or how near it is. What a row
    without a vector has is zeros, and a ``state`` that is not done. ``scores`` are cosines to the question, or NaN.
    """

    ids: tuple[RowId, ...]
    places: NDArray[np.int64]
    chunks: NDArray[np.int64]  # number of the chunk; -1 where there is no vector
    scores: NDArray[np.float64]
    states: tuple[str, ...]
    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    digests: tuple[bytes, ...]
    vectors: Vectors  # (n, dims)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A row, the chunk it is shown by, its score and what that was made of."""

    id: RowId
    chunk: int
    score: float
    vector_score: float


class VectorReader(Protocol):
    """Reads vectors beside hits; stores/reader.py implements it. Each method raises NotLive after a swap."""

    def row_ids(self, generation: Generation, ids: tuple[str, ...], option: str) -> tuple[RowId, ...]:
        """Read ids as hits show them; raises UserError, naming ``option``, for one that is no key or no row."""
        ...

    def vectors(
        self,
        generation: Generation,
        *,
        ids: tuple[RowId, ...] = (),
        question: Vectors | None = None,
        near: int = 0,
        sample: int = 0,
        filter: object | None = None,
    ) -> dict[Role, StoredVectors]:
        """Return the vectors of rows, of those nearest to a question that a filter lets through, and of a sample."""
        ...

    def chosen(self, generation: Generation, rows: tuple[Chosen, ...]) -> tuple[Hit, ...]:
        """Return rows as hits, best first."""
        ...
