"""Reads from Postgres' own statistics for which filter values an index of their own would pay."""

from __future__ import annotations

import json

import psycopg
from psycopg import sql

from vector_assets.index.partial_proposals import Proposal, ValueFound, may_pay, propose
from vector_assets.records import Generation
from vector_assets.spec import Collection
from vector_assets.spec.partial import PartialIndex, wrong_partial
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.conditions import column_types
from vector_assets.stores.search_sql.nearest import DEFAULT_EF_SEARCH
from vector_assets.stores.search_sql.partial import partial_condition


def partial_proposals(
    database: Database, collection: Collection, relation: Relation, generation: Generation
) -> tuple[Proposal, ...]:
    """Return what is proposed for a generation, as it was last analysed; none for another index than a graph.

    Looked at are the most common values that ANALYZE kept (``pg_stats``), their shares, and what the planner says that
    finding their rows costs. Nobody keeps which filters are asked for, so that is left to whoever accepts one.
    """
    if generation.index_type != "hnsw" or not generation.filters:
        return ()
    width = generation.ef_search or DEFAULT_EF_SEARCH
    table = database.names.table("embedding", generation.table)
    with database.connect() as connection:
        row = connection.execute(
            "select reltuples from pg_class where oid = to_regclass(%s)", (table.as_string(connection),)
        ).fetchone()
        vectors = max(0, round(float(str(row[0])))) if row else 0
        types = column_types(connection, relation)
        found = []
        for index, share in _common(database, connection, collection, generation):
            if index.field not in types or not may_pay(share, vectors=vectors, width=width):
                continue
            try:
                with connection.transaction():
                    condition, _ = partial_condition(connection, database.names, index, types, alias="v")
                    query = sql.SQL("select 1 from {} v where {}").format(table, sql.SQL(condition))
                    units = _units(database, connection, query)
            except (psycopg.DataError, psycopg.ProgrammingError):  # no value of the column's type, or no operator
                continue
            found.append(ValueFound(index, share, units))
    return propose(found, generation, vectors=vectors, width=width, declared=collection.partial_indexes)


def _common(
    database: Database, connection: Connection, collection: Collection, generation: Generation
) -> list[tuple[PartialIndex, float]]:
    """The most common values of the copied columns that could be declared, with their shares of all vectors."""
    columns = {"f_" + name: name for name in generation.filters if name in collection.fields}
    rows = connection.execute(
        "select s.attname, c.value, c.share from pg_stats s "
        "cross join lateral unnest(s.most_common_vals::text::text[], s.most_common_freqs) c (value, share) "
        "where s.schemaname = %s and s.tablename = %s and s.attname = any(%s)",
        (database.names.prefix + "embedding", generation.table, list(columns)),
    ).fetchall()
    found = []
    for column, text, share in rows:
        field = columns[str(column)]
        value = json.loads(str(text)) if collection.fields[field] == "number" else str(text)
        if not list(wrong_partial({field: [value]}, collection.fields, [field])):
            found.append((PartialIndex(field, value), float(str(share))))
    return found


def _units(database: Database, connection: Connection, query: sql.Composed) -> float:
    row = connection.execute(
        database.compose("select cost from {search}._estimate(%s)"), (query.as_string(connection),)
    ).fetchone()
    assert row is not None
    return float(str(row[0]))
