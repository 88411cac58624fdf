"""Rows of a collection as words: all of them for BM25, some by their keys."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

import psycopg
from psycopg import sql

from vector_assets.embedding.text import row_text
from vector_assets.errors import SourceError
from vector_assets.records import Key, Value
from vector_assets.source.keys import row_key
from vector_assets.spec import Collection
from vector_assets.stores.database import Database
from vector_assets.stores.relation import Relation, columns

_PAGE = 5000


def text_fields(collection: Collection) -> list[str]:
    """The fields with words that the spaces read, each once, in the order of the spaces."""
    read = dict.fromkeys(name for space in collection.spaces.values() for name in space.fields)
    return [name for name in read if collection.fields[name] in ("text", "category")]


def row_texts(database: Database, relation: Relation, fields: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Stream the JSON row key of each row and the text of some fields, in key order."""
    key = relation.source_key("r")
    query = sql.SQL("select {}, {} from {} r order by {}").format(key, columns(fields, "r"), relation.table, key)
    size = len(relation.key)
    with database.connect() as connection, connection.cursor(name="texts") as cursor:
        cursor.itersize = _PAGE
        for row in cursor.execute(query):
            yield row_key(cast(Key, row[:size])), row_text(cast(Sequence[Value], row[size:]))


def row_keys(database: Database, relation: Relation) -> Iterator[str]:
    """Stream the JSON row keys, in no order."""
    query = sql.SQL("select {} from {} r").format(relation.source_key("r"), relation.table)
    with database.connect() as connection, connection.cursor(name="keys") as cursor:
        cursor.itersize = _PAGE
        for row in cursor.execute(query):
            yield row_key(cast(Key, row))


def values_of(
    database: Database, relation: Relation, keys: Iterable[str], fields: Sequence[str]
) -> dict[str, tuple[Value, ...]]:
    """Return the values of some fields by JSON row key, of the rows that are there."""
    wanted = list(dict.fromkeys(keys))
    found: dict[str, tuple[Value, ...]] = {}
    size = len(relation.key)
    with database.connect() as connection:
        for start in range(0, len(wanted), _PAGE):
            try:
                rows = connection.execute(_lookup(relation, wanted[start : start + _PAGE], fields)).fetchall()
            except psycopg.DataError as error:
                wrong = " ".join(str(error.diag.message_primary).split())
                raise SourceError(f"a judged row's key is not of the type that the rows' keys have: {wrong}") from None
            for row in rows:
                found[row_key(cast(Key, row[:size]))] = cast(tuple[Value, ...], row[size:])
    return found


def _lookup(relation: Relation, keys: Sequence[str], fields: Sequence[str]) -> sql.Composed:
    """Join the table with some keys. They are literals: a name with a % does not go together with parameters."""
    parts = zip(*map(json.loads, keys), strict=True)
    return sql.SQL("select {}, {} from {} r join unnest({}) w ({}) on {}").format(
        relation.source_key("r"),
        columns(fields, "r"),
        relation.table,
        sql.SQL(", ").join(sql.SQL("{}::text[]").format(sql.Literal([str(part) for part in each])) for each in parts),
        sql.SQL(", ").join(map(sql.Identifier, relation.key_names)),
        sql.SQL(" and ").join(
            sql.SQL("{} = {}::{}").format(
                sql.Identifier("r", column.name), sql.Identifier("w", name), sql.SQL(column.type)
            )
            for name, column in zip(relation.key_names, relation.key, strict=True)
        ),
    )
