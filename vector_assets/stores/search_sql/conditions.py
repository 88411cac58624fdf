"""Which columns a filter may name in a function of the SQL face, and how Postgres finds them there.

A function compiles its filter by ``_condition(filter, columns)`` of sql/028_filter_values.sql; ``columns`` is the
literal made here. Of every field it says the expression, its type, the family of types that decides how a value is
cast, and whether it is a list.
"""

from __future__ import annotations

from collections.abc import Collection as Names
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.relation import Relation

_FAMILIES = {
    "int2": "integer", "int4": "integer", "int8": "integer", "float4": "float", "float8": "float",
    "numeric": "numeric", "timestamptz": "timestamptz", "timestamp": "timestamp", "date": "date",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type with its schema, and the family of that. Where it is a list, both are of what stands in it.

    ``operators`` is the schema of the type's own operators, quoted, where that is not pg_catalog.
    """

    name: str
    family: str
    listed: bool = False
    operators: str | None = None


#: The types of the source's columns.
Types: TypeAlias = Mapping[str, ColumnType]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a filter may name: an expression of ours, and its type."""

    expression: str
    type: ColumnType


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
        found[name] = Column(place.as_string(None), types[name])
    return found


def columns_literal(columns: dict[str, Column]) -> sql.Composed:
    """Return the second argument of ``_condition``."""
    return sql.SQL("{}").format(sql.Literal(definitions(columns)))


def definitions(columns: Mapping[str, Column]) -> Jsonb:
    """Return what ``_condition`` is told of the columns, by field."""
    return Jsonb({name: _definition(column) for name, column in columns.items()})


def _definition(column: Column) -> dict[str, str | bool]:
    kind = column.type
    found: dict[str, str | bool] = {"expr": column.expression, "type": kind.name, "kind": kind.family}
    if kind.listed:
        found["list"] = True
    if kind.operators:
        found["operators"] = kind.operators
    return found


def column_types(connection: Connection, relation: Relation) -> Types:
    """Of every column of the collection's table the type and its family.

    The type is without its length, so that a value is never cut to fit; of a domain, whose checks are for what is
    stored, it is the base. Of an array it is what stands in it.
    """
    rows = connection.execute(
        "select a.attname, format('%%I.%%I', n.nspname, b.typname), case when n.nspname = 'pg_catalog' "
        "then b.typname else '' end, d.typcategory = 'A', "
        "(select min(format('%%I', s.nspname)) from pg_opclass c "
        "join pg_amop m on m.amopfamily = c.opcfamily and m.amoplefttype = b.oid and m.amoprighttype = b.oid "
        "join pg_operator o on o.oid = m.amopopr join pg_namespace s on s.oid = o.oprnamespace "
        "where c.opcintype = b.oid and c.opcdefault and s.nspname <> 'pg_catalog') "
        "from pg_attribute a join pg_type t on t.oid = a.atttypid "
        "join pg_type d on d.oid = coalesce(nullif(t.typbasetype, 0), t.oid) "
        "join pg_type e on e.oid = case when d.typcategory = 'A' then d.typelem else d.oid end "
        "join pg_type b on b.oid = coalesce(nullif(e.typbasetype, 0), e.oid) "
        "join pg_namespace n on n.oid = b.typnamespace "
        "where a.attrelid = %s::regclass and a.attnum > 0 and not a.attisdropped",
        (relation.table.as_string(connection),),
    ).fetchall()
    return {
        str(name): ColumnType(
            str(kind), _FAMILIES.get(str(base), "text"), bool(listed), str(operators) if operators else None
        )
        for name, kind, base, listed, operators in rows
    }
