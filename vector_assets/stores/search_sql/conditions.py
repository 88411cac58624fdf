"""Which columns a filter may name in a function of the SQL face, and how Postgres finds them there.

A function compiles its filter by ``_condition(filter, columns)`` of sql/015_filters.sql; ``columns`` is the literal
made here. Of every field it says the expression, its type, and the family of types that decides how a value is cast.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.spec import Collection
from vector_assets.stores.database import Connection
from vector_assets.stores.relation import Relation

_FAMILIES = {
    "int2": "integer", "int4": "integer", "int8": "integer", "float4": "float", "float8": "float",
    "numeric": "numeric", "timestamptz": "timestamptz", "timestamp": "timestamp", "date": "date",
}  # fmt: skip

#: Of a column of the source its type with its schema, and the family of that.
Types: TypeAlias = Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a filter may name: an expression of ours, its type with its schema, and the family of that."""

    expression: str
    type: str
    family: str


def filter_columns(
    types: Types,
    collection: Collection,
    relation: Relation,
    *,
    source: str = "r",
    stored: str = "",
    copied: Names[str] = (),
) -> dict[str, Column]:
    """Return what filters may name: declared fields without images, and the key; ``types`` by ``column_types``.

    ``source`` is the alias that the collection's table has in the query. Where the query also reads a table of the
    generation, ``stored`` is the alias of that: the key is taken from it, and ``copied`` fields from its ``f_…``.
    """
    keys = {column.name: name for column, name in zip(relation.key, relation.key_names, strict=True)}
    names = [*keys, *(name for name in collection.fields if name not in keys)]
    found = {}
    for name in names:
        if name not in types or name in relation.images:
            continue
        if stored and name in keys:
            place = sql.Identifier(stored, keys[name])
        elif stored and name in copied:
            place = sql.Identifier(stored, "f_" + name)
        else:
            place = sql.Identifier(source, name)
        kind, family = types[name]
        found[name] = Column(place.as_string(None), kind, family)
    return found


def columns_literal(columns: dict[str, Column]) -> sql.Composed:
    """Return the second argument of ``_condition``."""
    value = {name: {"expr": c.expression, "type": c.type, "kind": c.family} for name, c in columns.items()}
    return sql.SQL("{}").format(sql.Literal(Jsonb(value)))


def column_types(connection: Connection, relation: Relation) -> Types:
    """Of every column of the collection's table the type and its family.

    The type is without its length, so that a value is never cut to fit; of a domain, whose checks are for what is
    stored, it is the base.
    """
    rows = connection.execute(
        "select a.attname, format('%%I.%%I', n.nspname, b.typname), case when n.nspname = 'pg_catalog' "
        "then b.typname else '' end from pg_attribute a join pg_type t on t.oid = a.atttypid "
        "join pg_type b on b.oid = coalesce(nullif(t.typbasetype, 0), t.oid) "
        "join pg_namespace n on n.oid = b.typnamespace "
        "where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped",
        (relation.table.as_string(connection),),
    ).fetchall()
    return {str(name): (str(kind), _FAMILIES.get(str(base), "text")) for name, kind, base in rows}
