"""The nearest candidates by a generation's own index, as SQL. ``q`` is the question, a ``vector``.

What an index is built on and what a query orders by stand here side by side: where they differ, Postgres scans the
table. Rows are ordered by ``order_by``; where there is an ``oversample``, that many of them (at the measured k of 10)
are ranked again by ``distance``, which needs no index.
"""

from __future__ import annotations

from psycopg import sql

from vector_assets.records import Generation

MEASURED_K = 10
DEFAULT_EF_SEARCH = 40
OPERATORS = {"cosine": "<=>", "inner_product": "<#>", "l2": "<->"}
_CLASSES = {"cosine": "cosine", "inner_product": "ip", "l2": "l2"}
_Q = sql.SQL("q")


def settings(generation: Generation) -> list[sql.Composed]:
    """Clauses ``set x = y`` of a function that asks the index; the planner may not do without it."""
    width = sql.Literal(width_of(generation))
    if generation.index_type == "exact":
        return []
    # An index scan is taken though a table of few rows would be scanned sooner: what was measured is what is used.
    clauses = [sql.SQL("set enable_indexscan = on").format()]
    if generation.index_type == "ivfflat":
        return [
            *clauses, sql.SQL("set ivfflat.probes = {}").format(width),
            sql.SQL("set ivfflat.iterative_scan = relaxed_order").format(),
        ]  # fmt: skip
    return [
        *clauses, sql.SQL("set hnsw.ef_search = {}").format(width),
        sql.SQL("set hnsw.iterative_scan = strict_order").format(),
    ]  # fmt: skip


def width_of(generation: Generation) -> int:
    """How widely the index is searched: as was measured, else pgvector's own default; 0 without an index."""
    if generation.index_type == "exact":
        return 0
    return generation.ef_search or (1 if generation.index_type == "ivfflat" else DEFAULT_EF_SEARCH)


def order_by(generation: Generation, alias: str, q: sql.Composable = _Q) -> sql.Composed:
    """What the index orders by. Of ivfflat, further lists are looked at in turn: order what comes by ``distance``."""
    if generation.precision != "binary" or generation.index_type == "exact":
        return distance(generation, alias, q)
    return sql.SQL("{} <~> binary_quantize({}::{})::bit({})").format(
        _bits(generation, sql.Identifier(alias, "vector")), q, sql.SQL(generation.vector_type),
        sql.SQL(str(generation.dims)),
    )  # fmt: skip


def distance(generation: Generation, alias: str, q: sql.Composable = _Q) -> sql.Composed:
    """The exact distance of a stored vector, by the declared metric."""
    return sql.SQL("{} {} {}::{}").format(
        sql.Identifier(alias, "vector"), sql.SQL(OPERATORS[generation.metric]), q, sql.SQL(generation.vector_type)
    )


def oversample(generation: Generation) -> int | None:
    """How many candidates an index of bits hands on to be ranked again for 10 hits; None where its order is right.

    For k hits ``greatest(oversample, oversample * k / 10)`` are asked for.
    """
    return width_of(generation) if generation.precision == "binary" and generation.index_type == "hnsw" else None


def widen(generation: Generation, wanted: sql.Composable) -> sql.Composed:
    """A plpgsql statement that lets the index hand out ``wanted`` candidates, where it would stop before."""
    if generation.index_type != "hnsw":
        return sql.SQL("null;").format()  # lists are looked at until there are as many as the limit says
    return sql.SQL("perform set_config('hnsw.ef_search', greatest({}, least({}, 1000))::text, true);").format(
        sql.Literal(width_of(generation)), wanted
    )


def indexed(generation: Generation) -> sql.Composed:
    """What an index is built on: the column, or the bits of its signs, with the operator class."""
    if generation.precision == "binary":
        return sql.SQL("({}) bit_hamming_ops").format(_bits(generation, sql.Identifier("vector")))
    return sql.SQL("vector {}").format(sql.SQL(f"{generation.vector_type}_{_CLASSES[generation.metric]}_ops"))


def _bits(generation: Generation, column: sql.Composable) -> sql.Composed:
    # The width is part of the type: a parameter in its place would make another expression than the index has.
    return sql.SQL("binary_quantize({})::bit({})").format(column, sql.SQL(str(generation.dims)))
