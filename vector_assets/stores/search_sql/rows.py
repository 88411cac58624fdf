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
        "if k > {ef} then perform set_config('hnsw.ef_search', least(k, 1000)::text, true); end if; "
        "return query select {names}, v.chunk_no, 1 - ({distance}), {number}::integer "
        "from {vectors} v order by {order} limit k;"
    ).format(
        ef=nearest.width(generation),
        names=served.relation.stored_key("v"),
        distance=nearest.distance(generation, "v"),
        number=sql.Literal(generation.number),
        vectors=served.vectors,
        order=nearest.order_by(generation, "v"),
    )
