"""How an index is asked for the nearest vectors: what it is built on, the expression it serves, and its settings.

What an index is built on and what a query orders by stand here side by side: where they differ, Postgres scans the
table. ``q`` is the question, a ``vector``. Vectors have length 1, so that every metric ranks as the cosine does.
"""

from __future__ import annotations

from psycopg import sql

from vector_assets.records import Generation

#: The k that recall is measured at: an index of bits hands on this many times fewer or more for another k.
MEASURED_K = 10
DEFAULT_EF_SEARCH = 40
#: hnsw.ef_search at most.
WIDEST = 1000
_OPERATORS = {"cosine": "<=>", "inner_product": "<#>", "l2": "<->"}
_CLASSES = {"cosine": "cosine", "inner_product": "ip", "l2": "l2"}
_Q = sql.SQL("q")


def distance(generation: Generation, alias: str, q: sql.Composable = _Q) -> sql.Composed:
    """The exact cosine distance of a stored vector to the question ``q``, whatever the metric of the index."""
    return _compared(generation, alias, "<=>", q)


def order_by(generation: Generation, alias: str, q: sql.Composable = _Q) -> sql.Composed:
    """What the index hands vectors out by, nearest first."""
    if not _of_bits(generation):
        return _compared(generation, alias, _OPERATORS[generation.metric], q)
    return sql.SQL("{} <~> binary_quantize({}::{})::bit({})").format(
        _bits(generation, sql.Identifier(alias, "vector")), q, sql.SQL(generation.vector_type),
        sql.SQL(str(generation.dims)),
    )  # fmt: skip


def indexed(generation: Generation) -> sql.Composed:
    """What an index is built on: the column, or the bits of its signs, with the operator class."""
    if _of_bits(generation):
        return sql.SQL("({}) bit_hamming_ops").format(_bits(generation, sql.Identifier("vector")))
    return sql.SQL("vector {}").format(sql.SQL(f"{generation.vector_type}_{_CLASSES[generation.metric]}_ops"))


def candidates(
    generation: Generation, vectors: sql.Composable, alias: str, where: sql.Composable | None = None
) -> sql.Composed:
    """A FROM item with the vectors that are to be ordered by ``last_order``: ``k`` of them are then the nearest.

    A graph's order is final, so that is the table. Bits only choose what is ranked again, and further lists of ivfflat
    come in turn. ``k`` and ``exact`` are the function's; ``where`` is a condition over ``alias``.
    """
    condition = sql.SQL("where {} ").format(where) if where else sql.SQL("")
    name = sql.Identifier(alias)
    bits = oversample(generation)
    if bits is None and generation.index_type != "ivfflat":
        if where is None:
            return sql.SQL("{} {}").format(vectors, name)
        return sql.SQL("(select {0}.ctid, {0}.* from {1} {0} {2}) {0}").format(name, vectors, condition)
    limit: sql.Composable = sql.SQL("k")
    if bits is not None:
        limit = sql.SQL("case when not exact then least(greatest({0}, {0} * k::bigint / {1}), 2000000000) end").format(
            sql.Literal(bits), sql.Literal(MEASURED_K)
        )
    return sql.SQL("(select {0}.ctid, {0}.* from {1} {0} {2}order by {3} limit {4}) {0}").format(
        name, vectors, condition, order_by(generation, alias), limit
    )


def last_order(generation: Generation, alias: str) -> sql.Composed:
    """What ``candidates`` are ordered by."""
    return distance(generation, alias) if _of_bits(generation) else order_by(generation, alias)


def width(generation: Generation) -> sql.Literal:
    """How widely the index is searched, as measured to meet the declared recall; 0 without an index."""
    return sql.Literal(_width(generation))


def entries(generation: Generation) -> sql.Literal:
    """How many entries of the index a search looks at, about; 0 without an index. A list of ivfflat has 1,000."""
    return sql.Literal(_width(generation) * (1000 if generation.index_type == "ivfflat" else 1))


def candidates_for_one(generation: Generation) -> int:
    """How many candidates are looked at for one hit: several where bits only choose what is ranked again."""
    return -(-(oversample(generation) or MEASURED_K) // MEASURED_K)


def oversample(generation: Generation) -> int | None:
    """How many candidates an index of bits hands on for 10 hits, to be ranked again; None where its order is final."""
    return _width(generation) if _of_bits(generation) else None


def widen(generation: Generation, wanted: sql.Composable) -> sql.Composed:
    """A plpgsql statement that lets the index hand out ``wanted`` vectors, where it would stop before."""
    if generation.index_type != "hnsw":
        return sql.SQL("null;").format()  # lists are looked at until there are as many as the limit says
    return sql.SQL(
        "if {wanted} > {width} then "
        "perform set_config('hnsw.ef_search', least({wanted}, {widest})::text, true); end if;"
    ).format(wanted=wanted, width=width(generation), widest=sql.Literal(WIDEST))


def settings(generation: Generation, *, lean: bool = False) -> sql.Composed:
    """Settings of a function that asks the index.

    A forced custom plan knows the limit; a generic one guesses a tenth of the table and would not use the index. To
    plan costs a tenth of what to search does, so a ``lean`` function plans once, and leaves no other way than the
    index. Such a one starts without iterative scans, which cost a twentieth where they are not needed.
    """
    if generation.index_type == "exact":
        return sql.SQL("set plan_cache_mode = force_custom_plan set enable_indexscan = on ").format()
    return sql.SQL("set plan_cache_mode = {} set enable_indexscan = on set {} = {} set {} = {}").format(
        sql.SQL("force_generic_plan set enable_seqscan = off" if lean else "force_custom_plan"),
        sql.SQL(width_setting(generation)), width(generation), sql.SQL(iterative(generation)),
        sql.SQL("off" if lean else scan_order(generation)),
    )  # fmt: skip


def width_setting(generation: Generation) -> str:
    """The setting that says how widely the index is searched."""
    return "ivfflat.probes" if generation.index_type == "ivfflat" else "hnsw.ef_search"


def iterative(generation: Generation) -> str:
    """The setting that says in which order an index hands out more than one look gave, or that it does not."""
    return f"{generation.index_type}.iterative_scan"


def scan_order(generation: Generation) -> str:
    """In which order an index hands out more than one look gave; ivfflat knows no strict one."""
    return "relaxed_order" if generation.index_type == "ivfflat" else "strict_order"


def _width(generation: Generation) -> int:
    if generation.index_type == "exact":
        return 0
    return generation.ef_search or (1 if generation.index_type == "ivfflat" else DEFAULT_EF_SEARCH)


def _of_bits(generation: Generation) -> bool:
    return generation.precision == "binary" and generation.index_type != "exact"


def _compared(generation: Generation, alias: str, operator: str, q: sql.Composable) -> sql.Composed:
    return sql.SQL("{}.vector {} {}::{}").format(
        sql.Identifier(alias), sql.SQL(operator), q, sql.SQL(generation.vector_type)
    )


def _bits(generation: Generation, column: sql.Composable) -> sql.Composed:
    # The width is part of the type: a parameter in its place would make another expression than the index has.
    return sql.SQL("binary_quantize({})::bit({})").format(column, sql.SQL(str(generation.dims)))
