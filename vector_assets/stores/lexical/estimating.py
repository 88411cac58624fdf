"""What an index of words takes, found by making one of a sample of rows. Nothing of it stays."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from vector_assets.records import KeyColumn, Value
from vector_assets.spec import Lexical
from vector_assets.stores.database import Database
from vector_assets.stores.lexical.index import LexicalIndex
from vector_assets.stores.lexical.sync import LexicalStore
from vector_assets.stores.relation import Relation

# No collection's name begins with an underscore, and none can be seen: it is made in a transaction that is undone.
_NAME = "_planned"


@dataclass(frozen=True, slots=True)
class WordsTimed:
    """Seconds and bytes that one row takes in an index of words, its indexes in Postgres included.

    Of 100,000 abstracts a sample of 1,024 gave 1 % too many bytes and 21 % too few seconds (benchmarks/bm25.py).
    """

    seconds: float
    row_bytes: float


def time_words(database: Database, lexical: Lexical, rows: Sequence[Mapping[str, Value]]) -> WordsTimed:
    """Cut, count and store the words of some rows as a sync does; zeros where there are none."""
    if not rows:
        return WordsTimed(0, 0)
    index = LexicalIndex.declared(_NAME, lexical, database.names)
    key = "n"
    while key in lexical.fields:
        key += "_"
    source = Relation(sql.Identifier("pg_temp", "planned_rows"), (KeyColumn(key, "bigint"),))
    with database.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(
            sql.SQL("create temp table planned_rows ({} bigint primary key, {})").format(
                sql.Identifier(key),
                sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in lexical.fields),
            )
        )
        with connection.cursor() as cursor, cursor.copy("copy pg_temp.planned_rows from stdin") as copy:
            for number, row in enumerate(rows, 1):
                copy.write_row([number, *(row[name] for name in lexical.fields)])
        connection.execute(
            sql.SQL("create temp table work as select {0} as n, {0} as k1 from pg_temp.planned_rows").format(
                sql.Identifier(key)
            )
        )
        connection.execute("analyze pg_temp.work; analyze pg_temp.planned_rows")
        index.create(database, connection, source)
        started = time.perf_counter()
        LexicalStore(database).add(connection, index, source, len(rows))
        seconds = time.perf_counter() - started
        sizes = connection.execute(
            "select sum(pg_total_relation_size(to_regclass(name))) from unnest(%s::text[]) name",
            ([table.as_string(connection) for table in (index.postings, index.rows)],),
        ).fetchone()
    assert sizes is not None
    return WordsTimed(seconds / len(rows), int(str(sizes[0])) / len(rows))
