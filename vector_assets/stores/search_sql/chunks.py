"""The k nearest rows where rows are cut into chunks: what the search function does.

A row is found by its best chunk, or by the mean of its best few. The index hands out chunks, nearest first: a row that
has not been seen when they are as far as ``farthest`` has no chunk nearer than that, and so no mean nearer than that.
Ever more chunks are asked for until k rows are at least as near. An index that gives up before (hnsw.max_scan_tuples,
or a crowd of dead entries) is finished by a scan of all chunks, which is what exact asks for.
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.stores.search_sql import nearest
from vector_assets.stores.search_sql.made import Served

VARIABLES: LiteralString = (
    "declare wanted integer; seen integer; reached integer; places tid[]; farthest double precision; "
)
_WIDEN: LiteralString = (
    "wanted := least(greatest(4 * k::bigint, {bits} * k::bigint / 10), 2000000000); "
    "while not exact loop {widen} "
    "{reach} "
    "exit when reached >= k; "
    "if seen < wanted then exact := true; else wanted := least(4 * wanted::bigint, 2000000000); end if; "
    "end loop; "
)
# The first k distinct rows among the chunks are the k rows with the best chunk.
_REACH_BEST: LiteralString = (
    "select count(*), count(distinct row({near})), array_agg(n.place) into seen, reached, places from "
    "(select v.ctid as place, {names} from {vectors} v order by {order} limit wanted) n;"
)
_BEST: LiteralString = (
    "if exact then "
    "return query select {names}, v.chunk_no, 1 - n.best[1], {number}::integer, "
    "v.start_offset, v.stop_offset, v.chunk_digest from "
    "(select {plain}, min(array[{distance}, v.chunk_no::double precision]) as best "
    "from {vectors} v group by {plain} order by best, {plain} limit k) n "
    "join {vectors} v on {same} and v.chunk_no = n.best[2] order by n.best, {near}; "
    "else "
    "return query select {near}, n.chunk_no, 1 - n.distance, {number}::integer, "
    "n.start_offset, n.stop_offset, n.chunk_digest from "
    "(select distinct on ({names}) {names}, v.chunk_no, {distance} as distance, "
    "v.start_offset, v.stop_offset, v.chunk_digest from {vectors} v where v.ctid = any(places) "
    "order by {names}, distance, v.chunk_no) n order by n.distance, {near} limit k; "
    "end if;"
)
# All chunks of the rows that were reached are looked at: the mean is exact, whatever the index showed of them. No index
# serves the order, or the planner may ask one, which need not find the best.
_MEANS: LiteralString = (
    "(select {seen_keys}, m.mean, m.chunk_no from "
    "(select distinct {names} from {vectors} v where v.ctid = any(places)) s cross join lateral "
    "(select avg(b.distance) as mean, (array_agg(b.chunk_no order by b.distance, b.chunk_no))[1] as chunk_no from "
    "(select ({distance}) + 0 as distance, v.chunk_no from {vectors} v where {same_seen} "
    "order by 1, 2 limit {top}) b) m)"
)
_REACH_MEAN: LiteralString = (
    "select count(*), max(n.distance), array_agg(n.place) into seen, farthest, places from "
    "(select v.ctid as place, {distance} as distance from {vectors} v order by {order} limit wanted) n; "
    "select count(*) into reached from {means} r where r.mean <= farthest;"
)
_MEAN: LiteralString = (
    "if exact then "
    "return query select {names}, v.chunk_no, 1 - n.mean, {number}::integer, "
    "v.start_offset, v.stop_offset, v.chunk_digest from "
    "(select {plain}, avg(c.distance) as mean, "
    "(array_agg(c.chunk_no order by c.distance, c.chunk_no))[1] as chunk_no from "
    "(select {names}, v.chunk_no, {distance} as distance, "
    "row_number() over (partition by {names} order by {distance}, v.chunk_no) as place from {vectors} v) c "
    "where c.place <= {top} group by {plain} order by mean, {plain} limit k) n "
    "join {vectors} v on {same} and v.chunk_no = n.chunk_no order by n.mean, {near}; "
    "else "
    "return query select {names}, v.chunk_no, 1 - n.mean, {number}::integer, "
    "v.start_offset, v.stop_offset, v.chunk_digest from "
    "{means} n join {vectors} v on {same} and v.chunk_no = n.chunk_no order by n.mean, {near} limit k; "
    "end if;"
)


def statements(served: Served, *, top: int = 1) -> sql.Composed:
    """PL/pgSQL that returns ``k`` rows near ``q``, each with its best chunk; scored by the mean of its ``top`` best."""
    generation, relation = served.generation, served.relation
    distance = nearest.distance(generation, "v")
    parts: dict[str, sql.Composable] = {
        "bits": sql.Literal(nearest.oversample(generation) or 0),
        "widen": nearest.widen(generation, sql.SQL("wanted")),
        "names": relation.stored_key("v"),
        "near": relation.stored_key("n"),
        "seen_keys": relation.stored_key("s"),
        "plain": served.plain_keys,
        "same": relation.same_stored("v", "n"),
        "same_seen": relation.same_stored("v", "s"),
        "distance": distance,
        "order": nearest.order_by(generation, "v"),
        "number": sql.Literal(generation.number),
        "vectors": served.vectors,
        "top": sql.Literal(top),
    }
    if top == 1:
        reach, found = sql.SQL(_REACH_BEST).format(**parts), sql.SQL(_BEST).format(**parts)
    else:
        parts["means"] = sql.SQL(_MEANS).format(**parts)
        reach, found = sql.SQL(_REACH_MEAN).format(**parts), sql.SQL(_MEAN).format(**parts)
    return sql.SQL(_WIDEN).format(**parts, reach=reach) + found
