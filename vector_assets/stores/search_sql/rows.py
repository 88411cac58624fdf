"""The k nearest rows where every row has one vector: what the search function does.

An index may hand out fewer than k rows while there are more: among dead entries, rows that policies hide, or where k is
more than its width allows. Then it is asked again and looks on by itself, until it gives up (hnsw.max_scan_tuples,
ivfflat.max_probes). It is therefore asked in a statement that returns k rows or none, and a scan of all vectors answers
in place of none.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.stores.search_sql import nearest
from vector_assets.stores.search_sql.made import Served

VARIABLES: LiteralString = "declare given bigint; "
# The rows are kept until they are counted: what has been returned cannot be taken back, and a second look at the index
# would cost as much again.
_ASKED: LiteralString = (
    "if not exact then "
    "{widen} "
    "if k > {widest} then perform set_config({iterative}, {scan_order}, true); end if; "
    "loop "
    "return query with n as materialized ({nearest}) select * from n where (select count(*) from n) >= k; "
    "get diagnostics given = row_count; "
    "if given > 0 then return; end if; "
    "exit when current_setting({iterative}) <> 'off'; "
    "perform set_config({iterative}, {scan_order}, true); "
    "end loop; "
    "end if; "
)
# An order that no index serves: a setting of the planner would yield to a session's own, such as enable_seqscan = off.
# What is ordered by and what is returned is computed once.
_SCANNED: LiteralString = (
    "return query select {names}, v.chunk_no, 1 - v.far as score, {number}::integer as generation from "
    "(select {names}, v.chunk_no, ({distance}) + 0 as far from {vectors} v order by far limit k) v order by v.far;"
)
_NEAREST: LiteralString = (
    "select {names}, v.chunk_no, 1 - ({distance}) as score, {number}::integer as generation "
    "from {candidates} order by {order} limit k"
)


def statements(served: Served) -> sql.Composed:
    """PL/pgSQL that returns ``k`` rows near ``q``; ``exact`` is true where k is null."""
    generation = served.generation
    distance = nearest.distance(generation, "v")
    parts: dict[str, sql.Composable] = {
        "names": served.relation.stored_key("v"),
        "distance": distance,
        "number": sql.Literal(generation.number),
    }
    scanned = sql.SQL(_SCANNED).format(vectors=served.vectors, **parts)
    if generation.index_type == "exact":
        return scanned
    found = sql.SQL(_NEAREST).format(
        candidates=nearest.candidates(generation, served.vectors, "v"),
        order=nearest.last_order(generation, "v"),
        **parts,
    )
    asked = sql.SQL(_ASKED).format(
        widen=nearest.widen(generation, sql.SQL("k")),
        nearest=found,
        widest=sql.Literal(nearest.WIDEST),
        iterative=sql.Literal(nearest.iterative(generation)),
        scan_order=sql.Literal(nearest.scan_order(generation)),
    )
    return asked + scanned
