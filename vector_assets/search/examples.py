"""Rows that are named as examples: what is liked, what is not, and their vectors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.errors import UserError
from vector_assets.records import Generation, Vectors

if TYPE_CHECKING:
    from vector_assets.search.stored import RowId, StoredVectors, VectorReader


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Unit vectors of liked (p, dims) and disliked rows (n, dims), one per row, and the ids of all of them."""

    liked: Vectors
    unliked: Vectors
    ids: frozenset[RowId]


def read_examples(
    reader: VectorReader, generation: Generation, like: tuple[str, ...], unlike: tuple[str, ...]
) -> Examples:
    """Read the vectors of named rows. A row in chunks counts as the mean of them.

    Raises UserError for an id that is no row, and for a row that has no vector.
    """
    liked, unliked = reader.row_ids(generation, like, "--like"), reader.row_ids(generation, unlike, "--unlike")
    rows = (*liked, *unliked)
    found = reader.vectors(generation, ids=rows)["key"]
    vectors = [
        _of_row(found, place, f"{option} {name}", generation.dims)
        for place, (name, option) in enumerate(
            [*((one, "--like") for one in like), *((one, "--unlike") for one in unlike)]
        )
    ]
    together = np.stack(vectors) if vectors else np.zeros((0, generation.dims), np.float32)
    return Examples(together[: len(liked)], together[len(liked) :], frozenset(found.ids))


def _of_row(found: StoredVectors, place: int, named: str, dims: int) -> Vectors:
    mine = np.flatnonzero(found.places == place)
    if not len(mine):
        raise UserError(f"{named}: the row is not embedded yet, so it has no vector; materialize the collection first")
    state = found.states[mine[0]]
    if state != "done":
        why = {"empty": "there is no text in it", "failed": "it could not be encoded, see vector-assets failures"}
        raise UserError(f"{named}: the row has no vector: {why.get(state, state)}; expected another row")
    mean = found.vectors[mine].mean(axis=0)
    unit: Vectors = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
    return unit
