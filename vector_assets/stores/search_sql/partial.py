"""How a filtered search knows that a partial index answers it.

An index is made with the very condition that ``_condition`` (sql/028_filter_values.sql) makes of ``field = value``,
so that Postgres can prove that such a filter implies it. A filter does where that condition, or ``field in (value)``,
must hold for every row: alone, or below nothing but ``and``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.records import Generation
from vector_assets.spec.partial import PartialIndex
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Names
from vector_assets.stores.search_sql.conditions import Column, Types, definitions


@dataclass(frozen=True, slots=True)
class ServedPartial:
    """A partial index that searches may use: its name, the width measured for it, and the conditions that imply it."""

    name: str
    width: int
    conditions: tuple[str, str]


def partial_condition(
    connection: Connection, names: Names, index: PartialIndex, types: Types, *, alias: str
) -> tuple[str, str]:
    """Return ``field = value`` and ``field in (value)`` as a filter over the copied column says them.

    Raises psycopg.DataError for a value that is none of the column's type.
    """
    place = sql.Identifier(*filter(None, (alias, "f_" + index.field))).as_string(None)
    columns = definitions({index.field: Column(place, types[index.field])})
    row = connection.execute(
        sql.SQL("select {0}(%s, %s), {0}(%s, %s)").format(names.table("search", "_condition")),
        (Jsonb(index.tree), columns, Jsonb(index.tree | {"op": "in", "value": [index.value]}), columns),
    ).fetchone()
    assert row is not None
    return str(row[0]), str(row[1])


def used_partials(
    connection: Connection, names: Names, generation: Generation, types: Types
) -> tuple[ServedPartial, ...]:
    """Return the partial indexes that were measured to be true enough, from what is kept of a generation."""
    row = connection.execute(
        names.compose("select measures -> 'partial' from {ops}.generations where collection = %s and generation = %s"),
        (generation.collection, generation.number),
    ).fetchone()
    found = []
    records: Any = row[0] if row else None
    for record in records or ():
        index = PartialIndex(record["field"], record["value"])
        if not record["used"] or index.field not in generation.filters or index.field not in types:
            continue
        try:
            with connection.transaction():
                conditions = partial_condition(connection, names, index, types, alias="v")
        except psycopg.DataError:  # the column is of another type by now, which has no such value
            continue
        found.append(ServedPartial(record["name"], int(record["recall"]["ef_search"]), conditions))
    return tuple(found)


_IMPLIED: LiteralString = """
        if exists (select from unnest({said}) c (said) where position(c.said in condition) > 0) then
            -- One that was dropped, or is being built, is not counted on. Where several serve, Postgres takes the
            -- smallest; the widest search is enough for any of them.
            with recursive parts (part) as (
                select filter union all select e.part from parts p cross join lateral jsonb_array_elements(
                    case when jsonb_typeof(p.part -> 'and') = 'array' then p.part -> 'and' else '[]' end) e (part)
            )
            select max(n.width), min(c.reltuples) into partial_width, partial_rows
            from unnest({said}, {names}, {widths}) n (said, name, width)
            join pg_class c on c.oid = to_regclass(n.name) join pg_index i on i.indexrelid = c.oid and i.indisvalid
            where n.said in (
                select {condition}(p.part, {columns}) from parts p
                where p.part ->> 'op' in ('=', 'in') and p.part ->> 'field' = any({fields})
            );
            if partial_width is not null then
                width := partial_width;
                entries := partial_rows;
            end if;
        end if;
"""


def implied(
    partials: Sequence[ServedPartial], fields: Sequence[str], names: Names, columns: sql.Composable
) -> sql.Composable:
    """PL/pgSQL that sets ``width`` and ``entries`` to those of a partial index that ``filter`` implies.

    Nothing, where the generation has none that is used.
    """
    if not partials:
        return sql.SQL("")
    lines: Mapping[str, list[object]] = {
        "said": [said for each in partials for said in each.conditions],
        "names": [names.table("embedding", each.name).as_string(None) for each in partials for _ in each.conditions],
        "widths": [each.width for each in partials for _ in each.conditions],
        "fields": list(fields),
    }
    return sql.SQL(_IMPLIED).format(
        condition=names.table("search", "_condition"),
        columns=columns,
        **{
            name: sql.SQL("array[{}]::{}[]").format(
                sql.SQL(", ").join(map(sql.Literal, values)), sql.SQL("integer" if name == "widths" else "text")
            )
            for name, values in lines.items()
        },
    )
