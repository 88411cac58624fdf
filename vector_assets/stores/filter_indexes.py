"""Indexes on the copied filter columns of a generation, made after its load, for filters that few rows match."""

from __future__ import annotations

import psycopg
from psycopg import sql

from vector_assets.records import Generation
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Names

# Bytes of the longest value that a column with an index has: an entry of a btree holds some 2,700.
_LONGEST = 1000


def build_filter_indexes(connection: Connection, generation: Generation, names: Names) -> list[str]:
    """Make a btree on each copied column that has none; return one line for each that can have none, and why.

    ``connection`` commits by itself: a column that fails leaves the others.
    """
    table = names.table("embedding", generation.table)
    beside = sql.SQL("concurrently" if generation.state == "live" else "")  # writers go on
    said = []
    for number, field in enumerate(generation.filters, start=1):
        name = f"{generation.table}_f{number}"
        column = sql.Identifier("f_" + field)
        index = names.table("embedding", name).as_string(connection)
        row = connection.execute(
            "select i.indisvalid from pg_index i where i.indexrelid = to_regclass(%s)", (index,)
        ).fetchone()
        if row and row[0]:
            continue
        connection.execute(sql.SQL("drop index if exists {}").format(names.table("embedding", name)))
        longest = connection.execute(
            sql.SQL("select coalesce(max(octet_length({}::text)), 0) from {}").format(column, table)
        ).fetchone()
        assert longest is not None
        if int(str(longest[0])) > _LONGEST:
            said.append(f"filters.{field}: has values of {longest[0]} bytes, too long for an index; filtered without")
            continue
        try:
            connection.execute(
                sql.SQL("create index {} {} on {} ({})").format(beside, sql.Identifier(name), table, column)
            )
        except psycopg.errors.UndefinedObject as error:  # its type has no order
            said.append(f"filters.{field}: {error.diag.message_primary}; filtered without an index")
    return said
