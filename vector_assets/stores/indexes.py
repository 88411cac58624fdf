"""Indexes in Postgres: built after the load, sized to the data, measured against an exact scan."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pgvector import HalfVector, Vector
from psycopg import sql

from vector_assets.records import Generation, Vectors
from vector_assets.runtime.machine import machine
from vector_assets.stores.database import Connection, Database
from vector_assets.stores.filter_indexes import build_filter_indexes
from vector_assets.stores.relation import Relation

# pgvector's own defaults, the setting that its users tune last: recall is reached by ef_search first.
M, EF_CONSTRUCTION = 16, 64
OPERATORS = {"vector": "vector_cosine_ops", "halfvec": "halfvec_cosine_ops"}


@dataclass(frozen=True, slots=True)
class Built:
    """An index, how long it took and what it weighs. ``seconds`` is 0 when it was there already."""

    seconds: float
    bytes: int
    rows: int
    memory_mb: int


class IndexStore:
    """Builds and queries the vector index of a generation."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def build(self, generation: Generation) -> Built:
        """Build the HNSW index of a loaded generation and ANALYZE it; an invalid leftover is dropped first."""
        name = f"{generation.table}_hnsw"
        index = self.database.names.table("embedding", name)
        table = self.database.names.table("embedding", generation.table)
        with self.database.connect(autocommit=True) as connection:
            build_filter_indexes(connection, generation, self.database.names)
            rows = _int(connection, sql.SQL("select count(*) from {}").format(table))
            state = connection.execute(
                "select i.indisvalid from pg_index i where i.indexrelid = to_regclass(%s)",
                (index.as_string(connection),),
            ).fetchone()
            memory = index_memory_mb(rows, generation.dims, 2 if generation.vector_type == "halfvec" else 4)
            seconds = 0.0
            if state is None or not state[0]:
                connection.execute(sql.SQL("drop index if exists {}").format(index))
                self._size_session(connection, memory)
                started = time.perf_counter()
                connection.execute(
                    sql.SQL("create index {} on {} using hnsw (vector {}) with (m = {}, ef_construction = {})").format(
                        sql.Identifier(name), table, sql.SQL(OPERATORS[generation.vector_type]),
                        sql.Literal(M), sql.Literal(EF_CONSTRUCTION),
                    )
                )  # fmt: skip
                seconds = time.perf_counter() - started
            connection.execute(sql.SQL("analyze {}").format(table))
            size = _int(
                connection,
                sql.SQL("select pg_relation_size({}::regclass)").format(sql.Literal(index.as_string(connection))),
            )
        return Built(seconds, size, rows, memory)

    def neighbours(
        self, generation: Generation, relation: Relation, queries: Vectors, *, k: int, ef_search: int | None
    ) -> list[list[float]]:
        """Return the cosine distances of the k nearest, per query; an exact scan when ``ef_search`` is None."""
        wrap = Vector if generation.vector_type == "vector" else HalfVector
        query = sql.SQL("select vector <=> %s from {} order by vector <=> %s limit {}").format(
            self.database.names.table("embedding", generation.table), sql.Literal(k)
        )
        found = []
        with self.database.connect() as connection:
            if ef_search is None:
                connection.execute("set local enable_indexscan = off")
            else:
                connection.execute(sql.SQL("set local hnsw.ef_search = {}").format(sql.Literal(ef_search)))
                connection.execute("set local enable_seqscan = off")
            for vector in queries:
                value = wrap(vector)
                rows = connection.execute(query, (value, value), binary=True).fetchall()
                found.append([float(str(row[0])) for row in rows])
        return found

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

    def _size_session(self, connection: Connection, memory_mb: int) -> None:
        connection.execute(sql.SQL("set maintenance_work_mem = {}").format(sql.Literal(f"{memory_mb}MB")))
        # One worker beside the leader gave 1.2-1.7x, a second nothing (measured on two cores).
        workers = max(0, min(machine().cores - 1, 4))
        connection.execute(sql.SQL("set max_parallel_maintenance_workers = {}").format(sql.Literal(workers)))


def index_memory_mb(rows: int, dims: int, width: int) -> int:
    """Memory that holds the whole graph while it is built, in MiB: vectors plus 2 m links of a node, a fifth more.

    Below it pgvector goes on disk and takes twice as long. Capped at a quarter of the machine.
    """
    node = dims * width + 2 * M * 16 + 128
    wanted = int(rows * node * 1.2 / 2**20) + 64
    return max(64, min(wanted, machine().memory // 2**22))


def _int(connection: Connection, query: sql.Composed) -> int:
    row: Sequence[object] | None = connection.execute(query).fetchone()
    assert row is not None
    return int(str(row[0]))
