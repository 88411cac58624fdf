"""An index asked as search asks it, and timed: what recall is measured by."""

from __future__ import annotations

import time

from pgvector import HalfVector, Vector
from psycopg import sql

from vector_assets.index.recall import Found
from vector_assets.records import Generation, Vectors
from vector_assets.stores.database import Connection
from vector_assets.stores.search_sql.nearest import MEASURED_K, distance, order_by, scan_order, width_setting

_WARM = 10  # queries asked before any is timed


def ask(
    connection: Connection, table: sql.Identifier, generation: Generation, queries: Vectors, *, k: int,
    width: int | None,
) -> Found:  # fmt: skip
    """Return the exact distances of the k nearest, per query, nearest first; all are compared without a ``width``."""
    if width is None:
        connection.execute("set local enable_indexscan = off")
    else:
        connection.execute("set local enable_seqscan = off")
        # The settings are known once the library is loaded.
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        name = sql.SQL(width_setting(generation))
        connection.execute(sql.SQL("set local {} = {}").format(name, sql.Literal(width)))
        scan, order = sql.SQL(f"{generation.index_type}.iterative_scan"), sql.SQL(scan_order(generation))
        connection.execute(sql.SQL("set local {} = {}").format(scan, order))
    wrap = Vector if generation.vector_type == "vector" else HalfVector
    query = _query(table, generation, k=k, width=width)
    distances: list[list[float]] = []
    milliseconds = []
    for number, vector in enumerate([*queries[:_WARM], *queries]):
        value = wrap(vector)
        started = time.perf_counter()
        rows = connection.execute(query, {"q": value}, binary=True).fetchall()
        if number >= min(_WARM, len(queries)):
            milliseconds.append(1000 * (time.perf_counter() - started))
            distances.append(sorted(float(str(row[0])) for row in rows))
    return Found(distances, milliseconds)


def _query(table: sql.Identifier, generation: Generation, *, k: int, width: int | None) -> sql.Composed:
    q, exact = sql.Placeholder("q"), distance(generation, "v", sql.Placeholder("q"))
    if width is None or generation.precision != "binary" or generation.index_type == "exact":
        order = exact if width is None else order_by(generation, "v", q)
        return sql.SQL("select {} from {} v order by {} limit {}").format(exact, table, order, sql.Literal(k))
    return sql.SQL(
        "select {0} as d from (select vector from {1} v order by {2} limit {3}) v order by d limit {4}"
    ).format(
        exact, table, order_by(generation, "v", q), sql.Literal(max(width, width * k // MEASURED_K)), sql.Literal(k)
    )
