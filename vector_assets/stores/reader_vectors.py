"""Vectors as the reader role may read them: through ``search.<collection>_vectors(…)``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Any, cast

import numpy as np
from pgvector import Vector
from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.errors import DatabaseError, NotFound, UserError
from vector_assets.records import Generation, Vectors
from vector_assets.search.stored import Chosen, Role, RowId, StoredVectors
from vector_assets.stores.arrays import to_array
from vector_assets.stores.reader_session import ReaderSession, identifier


class VectorSession(ReaderSession):
    """Asks for vectors in one round trip, binary."""

    def row_ids(self, generation: Generation, ids: tuple[str, ...], option: str) -> tuple[RowId, ...]:
        """Read ids as hits show them: the bare value of a key of one column, else a JSON array of all columns.

        Raises UserError, naming ``option``, for what is no key, and NotFound for a row that is not there.
        """
        keys = self.keys(generation.collection)
        read = tuple(_row_id(one, keys, option) for one in ids)
        for one, row in zip(ids, read, strict=True):
            if not self._is_row(generation, keys, row, f"{option} {one}"):
                raise NotFound(f"{option} {one}: collection {generation.collection} has no such row")
        return read

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
        """Return the vectors of rows (key), of those nearest to a question (near), and of a sample of the table.

        ``filter`` is the JSON tree that search.<collection> takes; it holds for the nearest rows alone.
        """
        keys = self.keys(generation.collection)
        query = sql.SQL(
            "select f.vector_role, array[{ids}]::text[], f.vector_place, f.chunk_no, f.score, f.vector_state, "
            "f.chunk_start, f.chunk_stop, f.chunk_digest, f.row_vector "
            "from {function}(%s, %s, %s, %s, %s, false, %s) f"
        ).format(ids=_as_text(keys), function=self._vectors_function(generation))
        asked = None if question is None else Vector(question)
        values = (
            Jsonb([list(row) for row in ids]) if ids else None,
            asked,
            near,
            sample,
            generation.checkpoint_set,
            None if filter is None else Jsonb(filter),
        )
        rows = self.ask(query, values, binary=True).fetchall()
        by_role = {role: list(group) for role, group in groupby(rows, key=lambda row: row[0])}
        roles: tuple[Role, ...] = ("key", "near", "sample")
        return {role: _stored(by_role.get(role, []), generation.dims) for role in roles}

    def chosen_rows(self, generation: Generation, rows: Sequence[Chosen]) -> tuple[sql.Composed, tuple[object, ...]]:
        """Return what gives rows with their scores as a search function does, and its parameters."""
        keys = self.keys(generation.collection)
        call = sql.SQL(
            "(select {keys}, f.chunk_no, f.chunk_start, f.chunk_stop, f.chunk_digest, {number} as generation, "
            "(%s::float8[])[f.vector_place] as score, (%s::float8[])[f.vector_place] as vector_score "
            "from {function}(row_keys => %s, checkpoint => %s) f where f.chunk_no = (%s::int[])[f.vector_place])"
        ).format(
            keys=sql.SQL(", ").join(sql.SQL("f.{}").format(identifier(key)) for key in keys),
            number=sql.Literal(generation.number),
            function=self._vectors_function(generation),
        )
        values = (
            [row.score for row in rows],
            [row.vector_score for row in rows],
            Jsonb([list(row.id) for row in rows]),
            generation.checkpoint_set,
            [row.chunk for row in rows],
        )
        return call, values

    def _vectors_function(self, generation: Generation) -> sql.Identifier:
        return self.names.table("search", generation.collection + "_vectors")

    def _is_row(self, generation: Generation, keys: list[str], row: RowId, named: str) -> bool:
        view = self.names.table("search", generation.collection + "_rows")
        # The view's own row type casts the texts to what its columns are.
        query = sql.SQL("select exists (select from {view} r join jsonb_populate_record(null::{view}, %s) p on {same})")
        same = sql.SQL(" and ").join(sql.SQL("r.{0} = p.{0}").format(identifier(key)) for key in keys)
        try:
            found = self.ask(query.format(view=view, same=same), (Jsonb(dict(zip(keys, row, strict=True))),)).fetchone()
        except DatabaseError:
            raise
        except UserError as error:  # what cannot be cast to the key's type
            raise UserError(f"{named}: is no key of collection {generation.collection}: {error}") from None
        return bool(found and found[0])


def _row_id(text: str, keys: list[str], option: str) -> RowId:
    if len(keys) == 1:
        return (text,)
    try:
        parts = json.loads(text)
    except ValueError:
        parts = None
    if not isinstance(parts, list) or len(parts) != len(keys):
        raise UserError(f"{option} {text}: expected a JSON array of {', '.join(keys)}, as search shows ids")
    return tuple(map(str, parts))


def _as_text(keys: list[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("f.{}::text").format(identifier(key)) for key in keys)


def _stored(rows: Sequence[Sequence[Any]], dims: int) -> StoredVectors:
    vectors = np.zeros((len(rows), dims), np.float32)
    for place, row in enumerate(rows):
        if row[9] is not None:
            vectors[place] = to_array(row[9])
    return StoredVectors(
        ids=tuple(tuple(cast(list[str], row[1])) for row in rows),
        places=np.array([int(row[2]) - 1 for row in rows], np.int64),
        chunks=np.array([-1 if row[3] is None else row[3] for row in rows], np.int64),
        scores=np.array([np.nan if row[4] is None else row[4] for row in rows], np.float64),
        states=tuple(str(row[5]) for row in rows),
        starts=np.array([row[6] or 0 for row in rows], np.int64),
        stops=np.array([row[7] or 0 for row in rows], np.int64),
        digests=tuple(bytes(row[8] or b"") for row in rows),
        vectors=vectors,
    )
