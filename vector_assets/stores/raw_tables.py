"""The raw table of a copied source: made, widened and measured as the declaration asks."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from vector_assets.records import KeyColumn
from vector_assets.spec import POSTGRES_TYPES, Collection, FieldType
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Names
from vector_assets.stores.relation import Relation

#: Which part of the source (a file) a row came from: a number of ops.source_parts, null where there are no parts.
PART = "source_part"


def copied_relation(names: Names, collection: Collection, key: tuple[KeyColumn, ...]) -> Relation:
    """Return the raw table of a collection as the other stages see it: without our own column."""
    zoned = frozenset(name for name, kind in collection.fields.items() if kind == "datetime")
    return Relation(names.table("raw", collection.name), key, zoned, images=image_fields(collection))


def image_fields(collection: Collection) -> frozenset[str]:
    """Return the fields that hold images."""
    return frozenset(name for name, kind in collection.fields.items() if kind == "image")


def ensure_table(
    connection: Connection, names: Names, collection: Collection, key: tuple[KeyColumn, ...], *, parted: bool = False
) -> Relation:
    """Create the raw table, or give it the columns that the declaration has and it has not."""
    table = names.table("raw", collection.name)
    types = {column.name: column.type for column in key} | {
        name: kind for name, kind in field_types(collection).items() if name not in key_names(key)
    }
    if parted:
        types[PART] = "bigint"
    present = table_columns(connection, names.prefix + "raw", collection.name)
    if present and stored_key(connection, names, collection.name) != key:
        connection.execute(sql.SQL("drop table {} cascade").format(table))
        present = {}
    if not present:
        connection.execute(
            sql.SQL("create table {} ({}, primary key ({}))").format(
                table,
                sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in types.items()),
                plain(key_names(key)),
            )
        )
        return copied_relation(names, collection, key)
    for name, kind in types.items():
        if name in present and present[name] != kind:
            # The view over the rows names this column; the index stage makes it anew.
            connection.execute(sql.SQL("alter table {} drop column {} cascade").format(table, sql.Identifier(name)))
        if present.get(name) != kind:
            connection.execute(
                sql.SQL("alter table {} add column {} {}").format(table, sql.Identifier(name), sql.SQL(kind))
            )
    return copied_relation(names, collection, key)


def is_as_declared(connection: Connection, names: Names, collection: Collection, *, parted: bool = False) -> bool:
    """Tell whether the raw table is there with every declared column in its declared type."""
    present = table_columns(connection, names.prefix + "raw", collection.name)
    wanted = field_types(collection) | ({PART: "bigint"} if parted else {})
    return bool(present) and all(present.get(name) == kind for name, kind in wanted.items())


def measure(connection: Connection, relation: Relation, fields: Sequence[str]) -> tuple[int, str]:
    """Return count and content digest: two 64-bit hashes of each row, folded by xor (keys are unique)."""
    text = sql.SQL("json_build_array({}, {})::text").format(
        relation.source_key("r"), relation.contents(list(fields), "r")
    )
    row = connection.execute(
        sql.SQL(
            "select count(*), coalesce(bit_xor(hashtextextended({0}, 0)), 0), "
            "coalesce(bit_xor(hashtextextended({0}, 7)), 0) from {1} r"
        ).format(text, relation.table)
    ).fetchone()
    assert row is not None
    count, one, two = (int(str(value)) for value in row)
    return count, f"{count}-{one & 0xFFFFFFFFFFFFFFFF:016x}{two & 0xFFFFFFFFFFFFFFFF:016x}"


def table_columns(connection: Connection, schema: str, table: str) -> dict[str, str]:
    """Return the columns of a table with their types as SQL spells them; nothing where there is no such table."""
    rows = connection.execute(
        "select a.attname, format_type(a.atttypid, a.atttypmod) from pg_attribute a "
        "join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped order by a.attnum",
        (schema, table),
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def stored_key(connection: Connection, names: Names, collection: str) -> tuple[KeyColumn, ...]:
    """Return the key of a raw table, empty before the first load."""
    return primary_key(connection, names.prefix + "raw", collection)


def primary_key(connection: Connection, schema: str, table: str) -> tuple[KeyColumn, ...]:
    """Return the columns of a table's primary key; of a domain its base type."""
    rows = connection.execute(
        "select a.attname, format_type(coalesce(nullif(y.typbasetype, 0), y.oid), a.atttypmod) from pg_index i "
        "join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace "
        "cross join unnest(i.indkey) with ordinality as k(attnum, position) "
        "join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum join pg_type y on y.oid = a.atttypid "
        "where n.nspname = %s and c.relname = %s and i.indisprimary order by k.position",
        (schema, table),
    ).fetchall()
    return tuple(KeyColumn(str(name), str(kind)) for name, kind in rows)


def field_types(collection: Collection) -> dict[str, str]:
    """Return the Postgres type of each declared field."""
    kinds: dict[str, FieldType] = dict(collection.fields)
    return {name: POSTGRES_TYPES[kind] for name, kind in kinds.items()}


def key_names(key: Sequence[KeyColumn]) -> list[str]:
    """Return the names of key columns."""
    return [column.name for column in key]


def plain(names: Sequence[str]) -> sql.Composed:
    """``"x", "y"``."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def number(connection: Connection, query: sql.Composed) -> int:
    """Return the one number that a query gives."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(str(row[0]))
