"""``search.<collection>_rows``: keys, fields, and whether each row's vector is of the row as it stands."""

from __future__ import annotations

import psycopg
from psycopg import sql

from vector_assets.errors import DatabaseError
from vector_assets.stores.connections import Connection
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.made import Served


def rows_view(served: Served, view: sql.Identifier) -> sql.Composed:
    """Compose the view. It has no vector, so that its shape follows the declaration alone."""
    generation = served.generation
    read = [*(field for part in generation.parts for field in part.fields), *generation.filters]
    return sql.SQL(
        "create or replace view {view} {rights} as select {fields}, g.embedded_at, "
        "g.row_digest is distinct from {digest} as stale, {number}::integer as generation "
        "from {source} r left join {rows} g on {same}{open}"
    ).format(
        rights=sql.SQL("with (security_invoker = true)" if served.relation.secured else ""),
        open=sql.SQL(" where {}").format(served.unguarded) if served.unguarded else sql.SQL(""),
        view=view,
        fields=_columns(shown(served), served.relation),
        digest=served.relation.digest(read, "r"),
        number=sql.Literal(generation.number),
        source=served.relation.table,
        rows=served.rows,
        same=served.relation.same("r", "g"),
    )


def shown(served: Served) -> list[str]:
    """The source's columns in the view: the key, then the fields."""
    names = [column.name for column in served.relation.key]
    return [*names, *(field for field in served.collection.fields if field not in names)]


def drop_view(connection: Connection, view: sql.Identifier, *, why: str) -> None:
    """Drop the view, where it is there; raises DatabaseError, with ``why``, where somebody built on it."""
    try:
        connection.execute(sql.SQL("drop view if exists {}").format(view))
    except psycopg.errors.DependentObjectsStillExist as error:
        raise DatabaseError(
            f"{view.as_string(connection)} {why} and must be made anew, but "
            f"{' '.join((error.diag.message_detail or 'something').split())}; drop that first"
        ) from None


def _columns(names: list[str], relation: Relation) -> sql.Composed:
    """The source's columns as the view gives them: an image is named by its digest, for a hit is read for its text."""
    return sql.SQL(", ").join(
        sql.SQL("'sha256:' || encode(sha256({}), 'hex') as {}").format(sql.Identifier("r", name), sql.Identifier(name))
        if name in relation.images
        else sql.Identifier("r", name)
        for name in names
    )
