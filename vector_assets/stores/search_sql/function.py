"""``search.<collection>(…)``: the rows nearest to a vector, from the generation that is live."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.stores.search_sql import chunks, nearest, rows
from vector_assets.stores.search_sql.filtered import ENDING
from vector_assets.stores.search_sql.made import Served, SqlFunction

# No k is all of them, which no index is asked for.
_WHOLE: LiteralString = "if k < 1 then return; end if; exact := coalesce(exact, false) or k is null;"


def search_function(served: Served) -> SqlFunction:
    """Compose the function. It raises when a checkpoint is named that is not live, or the vector has another width."""
    in_chunks = served.generation.chunked is not None
    body = sql.SQL("{variables} begin {stamped} {filtered} {whole} {answer} end").format(
        variables=sql.SQL(chunks.VARIABLES if in_chunks else rows.VARIABLES),
        stamped=served.stamped(),
        filtered=_filtered(served),
        whole=sql.SQL(_WHOLE),
        answer=chunks.statements(served, top=served.generation.top) if in_chunks else rows.statements(served),
    )
    definition = sql.SQL(
        "create or replace function {function}(q vector, k integer default 10, checkpoint text default null, "
        "exact boolean default false, filter jsonb default null) returns table ({keys}, chunk_no integer, "
        "score double precision, generation integer{chunk}) language plpgsql stable {rights} rows 10 "
        "set search_path = {path} {settings} as {body}"
    ).format(
        function=served.names.table("search", served.collection.name),
        keys=served.key_columns,
        chunk=sql.SQL(", chunk_start integer, chunk_stop integer, chunk_digest bytea" if in_chunks else ""),
        rights=served.rights,
        path=served.path,
        # A policy brings tables of its own into the plan, and chunks are asked for in several ways.
        settings=nearest.settings(served.generation, lean=not (in_chunks or served.relation.secured)),
        body=sql.Literal("#variable_conflict use_column " + body.as_string(None)),
    )
    return SqlFunction(served.collection.name, "vector, integer, text, boolean, jsonb", definition)


def _filtered(served: Served) -> sql.Composed:
    """Another function answers with a filter, so that this one stays plain."""
    return sql.SQL(
        "if filter is not null then return query select * from {}(q, k, exact, filter); return; end if;"
    ).format(served.names.table("search", served.label + ENDING))
