"""Indexes in Postgres: built after the load, sized to the data, renewed beside readers and writers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.index.recall import Found
from vector_assets.index.size_planner import (
    EF_CONSTRUCTION,
    LARGE_EF_CONSTRUCTION,
    LARGE_M,
    M,
    index_memory_mb,
    lists_of,
    widths,
)
from vector_assets.records import Generation, Vectors
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.filter_indexes import build_filter_indexes
from vector_assets.stores.index_asking import ask
from vector_assets.stores.index_health import Health, changes, read_health
from vector_assets.stores.index_making import IndexMaker, Log
from vector_assets.stores.relation import Relation


@dataclass(frozen=True, slots=True)
class Built:
    """An index, how long it took and what it weighs. ``seconds`` is 0 when it was there already.

    ``widths`` are those that it may be searched at; none where there is no index.
    """

    seconds: float
    bytes: int
    rows: int
    memory_mb: int
    widths: tuple[int, ...] = ()
    options: tuple[tuple[str, int], ...] = ()  # m and ef_construction, or lists

    @property
    def is_large(self) -> bool:
        """Whether there is no larger one that finds more."""
        return dict(self.options).get("m", LARGE_M) >= LARGE_M


class IndexStore:
    """Builds, renews and asks the vector index of a generation."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def build(self, generation: Generation, *, log: Log | None = None) -> Built:
        """Build the index of a loaded generation where it is missing or invalid, and ANALYZE.

        On a live generation it is built beside readers and writers. A build that was killed leaves nothing that is
        used; what it left is dropped by the next one. Raises DatabaseError when the server ends the build.
        """
        return self._made(generation, log, renew=False, larger=False)

    def rebuild(self, generation: Generation, *, larger: bool = False, log: Log | None = None) -> Built:
        """Build the index anew beside the one in use, then put it in its place. ``larger``: with more links."""
        return self._made(generation, log, renew=True, larger=larger)

    def _made(self, generation: Generation, log: Log | None, *, renew: bool, larger: bool) -> Built:
        table = self.database.names.table("embedding", generation.table)
        with self.database.connect(autocommit=True) as connection:
            maker = IndexMaker(self.database, connection, generation)
            with maker.alone():
                for line in build_filter_indexes(connection, generation, self.database.names):
                    if log is not None:
                        log(line)
                rows = _int(connection, sql.SQL("select count(*) from {}").format(table))
                memory = index_memory_mb(
                    rows, generation.dims, precision=generation.precision, index_type=generation.index_type,
                    m=LARGE_M if larger else M,
                )  # fmt: skip
                if generation.index_type == "exact":
                    connection.execute(sql.SQL("analyze {}").format(table))
                    return Built(0.0, 0, rows, memory)
                name = index_name(generation)
                maker.clean(name)
                options = _options(generation, rows, maker.options(name), larger=larger)
                seconds = maker.make(name, options, memory_mb=memory, renew=renew, log=log)
                connection.execute(sql.SQL("analyze {}").format(table))
                size, kept = maker.bytes(name), maker.options(name)
                if seconds:
                    self._record(connection, generation, seconds, rows, size, kept)
        lists = kept.get("lists", 0)
        tried = widths(generation.index_type, generation.precision, lists=lists)
        return Built(seconds, size, rows, memory, tried, tuple(kept.items()))

    def _record(
        self, connection: Connection, generation: Generation, seconds: float, rows: int, size: int,
        options: dict[str, int],
    ) -> None:  # fmt: skip
        connection.execute(
            self.database.compose(
                "insert into {ops}.index_builds (collection, generation, seconds, rows, bytes, changes, options) "
                "select %s, %s, %s, %s, %s, %s, %s where exists "
                "(select from {ops}.generations where collection = %s and generation = %s) "
                "on conflict (collection, generation) do update set built_at = now(), seconds = excluded.seconds, "
                "rows = excluded.rows, bytes = excluded.bytes, changes = excluded.changes, options = excluded.options"
            ),
            (
                generation.collection, generation.number, seconds, rows, size,
                changes(self.database, connection, generation), Jsonb(options),
                generation.collection, generation.number,
            ),
        )  # fmt: skip

    def health(self, generation: Generation) -> Health:
        """Say what the index has become since it was built."""
        with self.database.connect(autocommit=True) as connection:
            return read_health(self.database, connection, generation, index_name(generation))

    def neighbours(
        self, generation: Generation, relation: Relation, queries: Vectors, *, k: int, ef_search: int | None
    ) -> Found:
        """Return the exact distances of the k nearest, per query; an exact scan when ``ef_search`` is None."""
        with self.database.connect() as connection:
            table = self.database.names.table("embedding", generation.table)
            return ask(connection, table, generation, queries, k=k, width=ef_search)

    def sample(self, generation: Generation, relation: Relation, count: int) -> Vectors:
        """Return vectors of the table, chosen by the hash of their key: the same ones every time."""
        keys = sql.SQL(", ").join(sql.Identifier(name) for name in relation.key_names)
        query = sql.SQL(
            "select vector from {} order by hashtextextended(json_build_array({}, chunk_no)::text, 0) limit {}"
        ).format(self.database.names.table("embedding", generation.table), keys, sql.Literal(count))
        with self.database.connect() as connection:
            rows = connection.execute(query).fetchall()
        values = [row[0].to_numpy() for row in rows]  # type: ignore[attr-defined]
        return np.asarray(values, dtype=np.float32).reshape(len(values), generation.dims)

    def worst_norm(self, generation: Generation) -> float:
        """Return how far the farthest vector's length is from 1; 0 for an empty table."""
        query = sql.SQL("select coalesce(max(abs({}(vector) - 1)), 0) from {}").format(
            sql.SQL("vector_norm" if generation.vector_type == "vector" else "l2_norm"),
            self.database.names.table("embedding", generation.table),
        )
        with self.database.connect() as connection:
            row = connection.execute(query).fetchone()
        return float(str(row[0])) if row else 0.0

    def vacuum(self, generation: Generation) -> None:
        """Remove dead tuples of a generation's tables, which cost recall and space."""
        with self.database.connect(autocommit=True) as connection:
            for name in (generation.table, generation.table + "_rows"):
                connection.execute(sql.SQL("vacuum (analyze) {}").format(self.database.names.table("embedding", name)))


def index_name(generation: Generation) -> str:
    """Name of a generation's index."""
    return f"{generation.table}_{generation.index_type}"


def _options(generation: Generation, rows: int, old: Mapping[str, int], *, larger: bool) -> dict[str, int]:
    """What the index is built with: as large as it was, once it had to be."""
    if generation.index_type == "ivfflat":
        return {"lists": lists_of(rows, generation.dims, generation.precision)}
    if larger or old.get("m", M) >= LARGE_M:
        return {"m": LARGE_M, "ef_construction": LARGE_EF_CONSTRUCTION}
    return {"m": M, "ef_construction": EF_CONSTRUCTION}


def _int(connection: Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(str(row[0]))
