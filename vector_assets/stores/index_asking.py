"""An index asked as search asks it, and timed: what recall is measured by."""

from __future__ import annotations

import json
import time

from pgvector import HalfVector, Vector
from psycopg import sql

from vector_assets.index.recall import Found
from vector_assets.records import Generation, Vectors
from vector_assets.stores.connections import Connection
from vector_assets.stores.search_sql.nearest import (
    MEASURED_K,
    distance,
    iterative,
    order_by,
    scan_order,
    width_setting,
)

_WARM = 10  # queries asked before any is timed


def ask(
    connection: Connection, table: sql.Identifier, generation: Generation, queries: Vectors, *, k: int,
    width: int | None, where: sql.Composable | None = None,
) -> Found:  # fmt: skip
    """Return the exact distances of the k nearest, per query, nearest first; all are compared without a ``width``.

    ``where`` is a condition over the table's columns that a partial index was made with: only its rows are asked for.
    """
    _set(connection, generation, width, part=where is not None)
    query = _query(table, generation, k=k, width=width, where=where)
    distances: list[list[float]] = []
    milliseconds = []
    for number, vector in enumerate([*queries[:_WARM], *queries]):
        value = _wrapped(generation, vector)
        started = time.perf_counter()
        rows = connection.execute(query, {"q": value}, binary=True).fetchall()
        if number >= min(_WARM, len(queries)):
            milliseconds.append(1000 * (time.perf_counter() - started))
            distances.append(sorted(float(str(row[0])) for row in rows))
    return Found(distances, milliseconds)


def asks_index(
    connection: Connection, table: sql.Identifier, generation: Generation, query: Vectors, *, name: str,
    where: sql.Composable,
) -> bool:  # fmt: skip
    """Tell whether Postgres would answer ``ask`` with this condition from the index of this name."""
    _set(connection, generation, MEASURED_K, part=True)
    asked = _query(table, generation, k=MEASURED_K, width=MEASURED_K, where=where)
    statement = sql.SQL("explain (format json) {}").format(asked)
    row = connection.execute(statement, {"q": _wrapped(generation, query)}).fetchone()
    return row is not None and json.dumps(name) in json.dumps(row[0])


def _set(connection: Connection, generation: Generation, width: int | None, *, part: bool) -> None:
    if width is None:
        connection.execute("set local enable_indexscan = off")
        return
    connection.execute("set local enable_seqscan = off")
    if part:  # or the rows of the condition would be found by a btree, and sorted
        connection.execute("set local enable_bitmapscan = off")
        connection.execute("set local enable_sort = off")
    # The settings are known once the library is loaded.
    connection.execute("select '[1]'::vector <=> '[1]'::vector")
    name = sql.SQL(width_setting(generation))
    connection.execute(sql.SQL("set local {} = {}").format(name, sql.Literal(width)))
    scan, order = sql.SQL(iterative(generation)), sql.SQL(scan_order(generation))
    connection.execute(sql.SQL("set local {} = {}").format(scan, order))


def _wrapped(generation: Generation, vector: Vectors) -> Vector | HalfVector:
    return Vector(vector) if generation.vector_type == "vector" else HalfVector(vector)


def _query(
    table: sql.Identifier, generation: Generation, *, k: int, width: int | None, where: sql.Composable | None
) -> sql.Composed:
    q, exact = sql.Placeholder("q"), distance(generation, "v", sql.Placeholder("q"))
    condition = sql.SQL(" where {}").format(where) if where else sql.SQL("")
    if width is None or generation.precision != "binary" or generation.index_type == "exact":
        order = exact if width is None else order_by(generation, "v", q)
        return sql.SQL("select {} from {} v{} order by {} limit {}").format(
            exact, table, condition, order, sql.Literal(k)
        )
    return sql.SQL(
        "select {0} as d from (select vector from {1} v{2} order by {3} limit {4}) v order by d limit {5}"
    ).format(
        exact, table, condition, order_by(generation, "v", q), sql.Literal(max(width, width * k // MEASURED_K)),
        sql.Literal(k),
    )  # fmt: skip
