"""What Postgres' catalogue says of a table, and what its rows come to."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from vector_assets.records import KeyColumn
from vector_assets.stores.database import Connection
from vector_assets.stores.relation import Relation, columns


def table_columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Return the columns of a table with their types as SQL spells them; empty when there is no such table."""
    rows = connection.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a "
        "join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped order by a.attnum",
        (schema, table),
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def primary_key(connection: Connection, schema: str, table: str) -> tuple[KeyColumn, ...]:
    """Return the primary key's columns in order, with the base type of a domain; empty without one."""
    rows = connection.execute(
        "select a.attname, format_type(coalesce(nullif(y.typbasetype, 0), y.oid), a.atttypmod) from pg_index i "
        "join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace "
        "cross join unnest(i.indkey) with ordinality as k(attnum, position) "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum join pg_type y on y.oid = a.atttypid "
        "where n.nspname = %s and c.relname = %s and i.indisprimary order by k.position",
        (schema, table),
    ).fetchall()
    return tuple(KeyColumn(str(name), str(kind)) for name, kind in rows)


def measure_rows(connection: Connection, relation: Relation, fields: Sequence[str]) -> tuple[int, str]:
    """Return count and content digest: two 64-bit hashes of each row, folded by xor (keys are unique)."""
    text = sql.SQL("json_build_array({}, {})::text").format(relation.source_key("r"), columns(list(fields), "r"))
    row = connection.execute(
        sql.SQL(
            "select count(*), coalesce(bit_xor(hashtextextended({0}, 0)), 0), "
            "coalesce(bit_xor(hashtextextended({0}, 7)), 0) from {1} r"
        ).format(text, relation.table)
    ).fetchone()
    assert row is not None
    count, one, two = (int(str(value)) for value in row)
    return count, f"{count}-{one & 0xFFFFFFFFFFFFFFFF:016x}{two & 0xFFFFFFFFFFFFFFFF:016x}"
