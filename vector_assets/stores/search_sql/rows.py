"""The k nearest rows where every row has one vector: what the search function does."""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.stores.search_sql import nearest
from vector_assets.stores.search_sql.made import Served

VARIABLES: LiteralString = "declare places tid[]; "
_WIDER: LiteralString = (
    # The index hands out ef_search rows at most; more are asked for by a wider search.
    "{widen} "
)
_EXACT: LiteralString = "if exact then perform set_config('enable_indexscan', 'off', true); end if; "
_ALL: LiteralString = (
    "return query select {names}, v.chunk_no, 1 - ({distance}), {number}::integer "
    "from {candidates} order by {order} limit k;"
)
# Policies hide rows after the index has handed them out: where it gives up before k are seen, all are looked at.
_SEEN: LiteralString = (
    "if not exact then "
    "select array_agg(n.place) into places from (select v.ctid as place from {candidates} order by {order} limit k) n; "
    "exact := k is null or coalesce(cardinality(places), 0) < k; "
    "end if; "
    "if not exact then "
    "return query select {names}, v.chunk_no, 1 - ({distance}), {number}::integer "
    "from {vectors} v where v.ctid = any(places) order by {distance}; return; "
    "end if; "
)


def statements(served: Served) -> sql.Composed:
    """PL/pgSQL that returns ``k`` rows near ``q``."""
    generation = served.generation
    body = _WIDER + (_SEEN if served.relation.secured else "") + _EXACT + _ALL
    return sql.SQL(body).format(
        widen=nearest.widen(generation, sql.SQL("k")),
        names=served.relation.stored_key("v"),
        distance=nearest.distance(generation, "v"),
        number=sql.Literal(generation.number),
        vectors=served.vectors,
        candidates=nearest.candidates(generation, served.vectors, "v"),
        order=nearest.last_order(generation, "v"),
    )
