"""Judged questions asked of an index of words, by the very function that people ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from psycopg import sql

from vector_assets.encoder.image.samples import ImageText
from vector_assets.metrics import Rankings, ranking_depth
from vector_assets.records import JudgedQuery, Key
from vector_assets.source.keys import row_key
from vector_assets.spec import Collection
from vector_assets.stores.database import Database
from vector_assets.stores.lexical.index import serving
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.bm25 import compose_bm25


def word_rankings(
    database: Database, collection: Collection, relation: Relation, judged: Sequence[JudgedQuery]
) -> Rankings | None:
    """Return the best row keys of each question; None where no index of words is complete.

    The function is composed for this connection alone: before a first generation is live there is no other.
    """
    declared = collection.lexical
    if declared is None:
        return None
    with database.connect() as connection:
        index = serving(database, connection, collection.name, declared)
        if index is None:
            return None
        function = sql.Identifier("pg_temp", "asked_bm25")
        path = sql.SQL("pg_catalog, pg_temp")
        connection.execute(
            compose_bm25(function, index, relation, declared, guard=sql.SQL(""), path=path, filtered=sql.SQL(""))
        )
        depth = ranking_depth(judged)
        found: dict[str, list[str]] = {}
        for query in judged:
            # Rows that do not count are asked for too, and left out.
            k = None if query.among is not None else depth + (1 if query.own else 0)
            text = "" if isinstance(query.text, ImageText) else query.text
            rows = connection.execute(sql.SQL("select * from {}(%s, %s)").format(function), (text, k)).fetchall()
            keys = (row_key(cast(Key, row[:-1])) for row in rows)
            found[query.id] = [key for key in keys if key != query.own and (query.among is None or key in query.among)][
                :depth
            ]
    return found
