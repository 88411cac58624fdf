"""``search.<collection>_hybrid(…)``: the rows that are near a vector and the rows that words say most about, as one.

It asks the two functions beside it, each for as many rows, in one statement, and fuses them as ``index/fusion.py``
does: same formulas, same depth. What they refuse, filter or hide is refused, filtered and hidden here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

from psycopg import sql

from vector_assets.index.fusion import DEPTH, RRF_K, Fusion
from vector_assets.records import Generation
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Names
from vector_assets.stores.relation import columns
from vector_assets.stores.search_sql.made import Served, SqlFunction

# The key is k1, k2, … in here, so that a column of the source may have any name.
_ANSWER: LiteralString = (
    "with v as materialized (select {key}, n.chunk_no, n.score{chunk}, "
    "row_number() over (order by n.score desc, {near}) as place "
    "from {search}(q, depth, checkpoint, false, filter) n), "
    "b as materialized (select {key}, n.score, row_number() over (order by n.score desc, {near}) as place "
    "from {bm25}(coalesce(words, ''), depth, filter) n), "
    "f as (select {keys}, v.chunk_no, case when by_places then "
    "coalesce(1.0::float8 / ({rrf_k} + v.place), 0) + coalesce(1.0::float8 / ({rrf_k} + b.place), 0) else "
    "{vector_share} * coalesce(v.score, (select min(l.score) from v l), 0) + {bm25_share} * coalesce(b.score, 0) "
    "end as fused{found_chunk}, v.score as vector_score, b.score as bm25_score from v full join b on {same}) "
    "select {found}, f.chunk_no, f.fused, {number}::integer{answer_chunk}, f.vector_score, f.bm25_score "
    "from f order by f.fused desc, {found} limit k"
)
_BODY: LiteralString = (
    "#variable_conflict use_column "
    "declare depth integer := case when k is not null then greatest(k, {depth}) end; by_places boolean; begin "
    "if fusion is null or fusion not in ('rrf', 'calibrated') then "
    "raise exception 'fusion %: expected rrf or calibrated', coalesce(fusion, 'null') "
    "using errcode = 'invalid_parameter_value'; end if; "
    "by_places := fusion = 'rrf'; "
    "{fallen_back}"
    "if k < 1 then return; end if; "
    "return query {answer}; end"
)
# Where nothing was learned, calibrated is RRF, and the caller is told.
_FALL_BACK: LiteralString = (
    "if not by_places then "
    "raise notice 'collection {label}: no weights were learned for generation {number}, fused by rrf'; "
    "by_places := true; end if; "
)


_OFFSETS = ("chunk_start", "chunk_stop", "chunk_digest")


def hybrid_function(served: Served) -> SqlFunction:
    """Compose the function; what was learned for this generation is built in."""
    relation, generation, fusion = served.relation, served.generation, served.fusion
    in_chunks = generation.chunked is not None
    label, number = sql.SQL(served.label), sql.Literal(generation.number)
    shares = _shares(fusion)
    answer = sql.SQL(_ANSWER).format(
        near=columns([column.name for column in relation.key], "n"),
        key=relation.as_stored("n"),
        search=served.names.table("search", served.label),
        bm25=served.names.table("search", served.label + "_bm25"),
        keys=sql.SQL(", ").join(
            sql.SQL("coalesce({}, {}) as {}").format(
                sql.Identifier("v", name), sql.Identifier("b", name), sql.Identifier(name)
            )
            for name in relation.key_names
        ),
        found=relation.stored_key("f"),
        same=relation.same_stored("v", "b"),
        rrf_k=sql.Literal(RRF_K),
        vector_share=shares[0],
        bm25_share=shares[1],
        chunk=_offsets("n", in_chunks=in_chunks),
        found_chunk=_offsets("v", in_chunks=in_chunks),
        answer_chunk=_offsets("f", in_chunks=in_chunks),
        number=number,
    )
    fallen_back = sql.SQL("") if fusion else sql.SQL(_FALL_BACK).format(label=label, number=number)
    body = sql.SQL(_BODY).format(depth=sql.Literal(DEPTH), fallen_back=fallen_back, answer=answer)
    definition = sql.SQL(
        "create or replace function {function}(q vector, words text, k integer default 10, "
        "checkpoint text default null, fusion text default 'rrf', filter jsonb default null) "
        "returns table ({keys}, chunk_no integer, score double precision, generation integer{chunk}, "
        "vector_score double precision, bm25_score double precision) language plpgsql stable {rights} rows 10 "
        "set search_path = {path} as {body}"
    ).format(
        function=served.names.table("search", served.label + "_hybrid"),
        keys=served.key_columns,
        chunk=sql.SQL(", chunk_start integer, chunk_stop integer, chunk_digest bytea" if in_chunks else ""),
        rights=served.rights,
        path=served.path,
        body=sql.Literal(body.as_string(None)),
    )
    return SqlFunction(served.label + "_hybrid", "vector, text, integer, text, text, jsonb", definition)


def learned(connection: Connection, names: Names, generation: Generation) -> Fusion | None:
    """Return what was learned for a generation; None where nothing was."""
    row = connection.execute(
        names.compose("select measures -> 'fusion' from {ops}.generations where collection = %s and generation = %s"),
        (generation.collection, generation.number),
    ).fetchone()
    record: Any = row[0] if row else None
    return Fusion.of(record) if isinstance(record, Mapping) and "weight" in record else None


def _shares(fusion: Fusion | None) -> tuple[sql.Composable, sql.Composable]:
    if fusion is None:
        return sql.SQL("0"), sql.SQL("0")
    share = sql.SQL("{}::float8")
    return (
        share.format(sql.Literal((1 - fusion.weight) / fusion.vector_scale)),
        share.format(sql.Literal(fusion.weight / fusion.bm25_scale)),
    )


def _offsets(alias: str, *, in_chunks: bool) -> sql.Composed:
    """Where the chunk stands, behind other columns; nothing without chunks."""
    return sql.SQL(", {}").format(columns(_OFFSETS, alias)) if in_chunks else sql.SQL("").format()
