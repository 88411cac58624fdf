"""How an index is asked for the nearest vectors: the expression it serves, and its settings."""

from __future__ import annotations

from psycopg import sql

from vector_assets.records import Generation


def distance(generation: Generation, alias: str) -> sql.Composed:
    """The exact cosine distance of a stored vector to the question ``q``."""
    return sql.SQL("{}.vector <=> q::{}").format(sql.SQL(alias), sql.SQL(generation.vector_type))


def order_by(generation: Generation, alias: str) -> sql.Composed:
    """What the index hands vectors out by, nearest first."""
    return distance(generation, alias)


def width(generation: Generation) -> sql.Literal:
    """How many entries the index looks at, as measured to meet the declared recall."""
    return sql.Literal(generation.ef_search or 40)


def settings(generation: Generation) -> sql.Composed:
    """Settings of a function that asks the index.

    A forced custom plan knows the limit; a generic one guesses a tenth of the table and may not use the index.
    """
    return sql.SQL(
        "set plan_cache_mode = force_custom_plan set enable_indexscan = on set hnsw.ef_search = {} "
        "set hnsw.iterative_scan = strict_order"
    ).format(width(generation))
