"""The k nearest rows where every row has one vector: what the search function does."""

from __future__ import annotations

from psycopg import sql

from vector_assets.stores.search_sql import nearest
from vector_assets.stores.search_sql.made import Served


def statements(served: Served) -> sql.Composed:
    """PL/pgSQL that returns ``k`` rows near ``q``; an index that is asked for more than it looks at looks at more."""
    generation = served.generation
    return sql.SQL(
        "if exact then perform set_config('enable_indexscan', 'off', true); end if; "
        "{widen} "
        "return query select {names}, v.chunk_no, 1 - ({distance}), {number}::integer "
        "from {candidates} order by {order} limit k;"
    ).format(
        widen=nearest.widen(generation, sql.SQL("k")),
        names=served.relation.stored_key("v"),
        distance=nearest.distance(generation, "v"),
        number=sql.Literal(generation.number),
        candidates=nearest.candidates(generation, served.vectors, "v"),
        order=nearest.last_order(generation, "v"),
    )
