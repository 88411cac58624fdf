"""The nearest rows among those that a filter lets through: ``search.<collection>_filtered(q, k, exact, filter)``.

Two ways lead there. *Exact*: find the matching rows by whatever index serves the filter, and compare each. *Iterative*:
let the vector index hand out its entries, nearest first, and drop those that do not match. The first costs by the rows
that match, the second by one over their share. The planner's estimate chooses; neither choice decides what is found:

- matching rows are collected up to a bound; where there are more than was estimated, the index is asked after all;
- an index that ends before there are k rows (hnsw.max_scan_tuples, a filter whose rows lie far from the question, a
  crowd of dead entries) is finished by the exact way, without a bound;
- one that handed out far more than the share of the filter says is asked once more and wider, for what it hands out so
  late is in no order (``not topic = cs``, asked about cs); what lies deeper still is found by the exact way.

A partial index that the filter implies (search_sql/partial.py) is searched as the whole one is without a filter: then
the share is that of its own rows.

So there are never fewer than k rows while k match. Statements are made anew for each filter: all that comes from a
user is in literals made by ``_condition`` (sql/028_filter_values.sql).
"""

from __future__ import annotations

from typing import LiteralString

from psycopg import sql

from vector_assets.index.filter_costs import COMPARE, ENTRY, LOOKUP, UNIT
from vector_assets.stores.search_sql import nearest
from vector_assets.stores.search_sql.conditions import columns_literal, filter_columns
from vector_assets.stores.search_sql.made import Served, SqlFunction
from vector_assets.stores.search_sql.partial import implied

ENDING = "_filtered"

_CHUNKS_ASKED = 4  # for a row, where rows are cut into chunks: several chunks may be of one row

# Entries that the indexes of a table have handed out in this transaction; always 0 where track_counts is off.
_HANDED: LiteralString = (
    "(select coalesce(sum(pg_stat_get_xact_tuples_returned(i.indexrelid)), 0) from pg_index i "
    "where i.indrelid = {}::regclass)"
)

_BODY: LiteralString = """
declare
    condition text; matching text; looked_up boolean;
    width integer := {width}; entries double precision; partial_width integer; partial_rows double precision;
    expected double precision; units double precision; share double precision;
    scan double precision; entry double precision; depth double precision; wanted bigint; bound bigint; tuples text;
    seen bigint; reached bigint; places tid[]; distances double precision[];
    handed bigint; wide boolean := false;
begin
    {open} {asked}
    if k < 1 then return; end if;
    exact := coalesce(exact, false) or k is null or width = 0;
    condition := {search}._condition(filter, {columns});
    looked_up := exists (
        select 1 from jsonb_path_query(filter, '$.**.field') as named (field)
        where named.field #>> '{braces}' <> all({stored})
    );
    matching := {vectors_text} || case when looked_up then {source_text} else '' end || ' where ' || condition;
    if not exact then
        select e.rows_expected, e.cost into expected, units from {search}._estimate('select 1' || matching) e;
        expected := greatest(expected, 1);
        select c.reltuples into entries from pg_class c where c.oid = {vectors}::regclass;
        {implied}
        share := expected / greatest(entries, expected);
        wanted := greatest({more} * k::bigint, {oversample} * k::bigint / {measured_k});
        -- As many entries that match are looked at as a search without a filter looks at: its recall was measured.
        depth := greatest(width, wanted) / share;
        scan := expected * {compare} + units * {unit};
        entry := {entry} + case when looked_up then {lookup} else 0 end;
        tuples := current_setting('hnsw.max_scan_tuples');
        -- Four times what was estimated may be collected before the estimate counts as wrong.
        bound := greatest(4 * expected, 100 * k::bigint, 1000);
        if scan <= depth * entry or depth > tuples::integer then
            execute {exact_limited} using q, k, bound into seen, reached, places, distances;
        end if;
        if seen is null or seen >= bound then
            perform set_config('enable_sort', 'off', true);
            -- What lies near the question may not match: the index is left when it has cost as much as a scan does.
            perform set_config('hnsw.max_scan_tuples',
                least(tuples::integer, greatest(2 * depth, scan / entry))::integer::text, true);
            loop
                perform set_config(
                    {setting}, case when wide then {widest} else least({widened} / share, {widest}) end::integer::text,
                    true);
                handed := {handed};
                execute {iterative} using q, k, wanted into seen, reached, places, distances;
                handed := {handed} - handed;
                if reached < k then
                    if wide or seen < wanted then exact := true; exit; end if;
                    wanted := least(4 * wanted, 2000000000);
                else
                    -- Far more entries were handed out than the share of the filter says: what matches lies far from
                    -- the question, beyond what is in order. A wider search looks at more; then everything is.
                    exit when not wide and handed <= greatest(depth / 4, 4 * wanted / share);
                    if wide then exact := handed > {widest}; exit; end if;
                    wide := true;
                    wanted := least(10 * wanted, 2000000000);
                    perform set_config('hnsw.max_scan_tuples', tuples, true);
                end if;
            end loop;
            perform set_config('enable_sort', 'on', true);
            perform set_config('hnsw.max_scan_tuples', tuples, true);
        end if;
    end if;
    if exact then
        execute {exact_whole} using q, k into seen, reached, places, distances;
    end if;
    return query execute {found} using places, distances;
end
"""
_MATCHED: LiteralString = "select {names}, v.chunk_no, v.ctid as place, ({distance})::double precision as distance"
_BEST: LiteralString = "select m.place, m.distance from m order by m.distance, {keys} limit $2"
_BEST_CHUNKS: LiteralString = (
    "select (array_agg(c.place order by c.distance, c.chunk_no))[1] as place, avg(c.distance) as distance from "
    "(select m.*, row_number() over (partition by {keys} order by m.distance, m.chunk_no) as place_in_row from m) c "
    "where c.place_in_row <= {top} group by {chunk_keys} order by 2, {chunk_keys} limit $2"
)
# All chunks of the rows that were reached are looked at: their score is exact, whatever the index showed of them. What
# they are ordered by is nothing that an index serves, or the planner may ask one, which need not find the best.
_MEANS: LiteralString = (
    "select l.place, l.distance from (select distinct {keys} from m) m cross join lateral "
    "(select avg(c.distance) as distance, (array_agg(c.place order by c.distance, c.chunk_no))[1] as place from "
    "(select v.ctid as place, v.chunk_no, (({distance}) + 0)::double precision as distance from {vectors} v "
    "where {same} order by 3, 2 limit {top}) c) l order by l.distance, {keys} limit $2"
)
_ANSWER: LiteralString = (
    ") , b as materialized ({best}) select (select count(*) from m), "
    "(select count(*) from b{near_enough}), array(select b.place from b), array(select b.distance from b)"
)


def filtered_function(served: Served, *, top: int = 1) -> SqlFunction:
    """Compose the function; with chunks, rows are scored by the mean of their ``top`` best."""
    generation = served.generation
    in_chunks = generation.chunked is not None
    unguarded = served.unguarded
    columns = columns_literal(
        filter_columns(served.types, served.collection, served.relation, stored="v", copied=generation.filters)
    )
    body = sql.SQL(_BODY).format(
        open=sql.SQL("perform {};").format(unguarded) if unguarded else sql.SQL(""),
        asked=served.asked(),
        search=served.names.schema("search"),
        columns=columns,
        implied=implied(served.partials, generation.filters, served.names, columns),
        stored=_names([*(column.name for column in served.relation.key), *generation.filters]),
        braces=sql.SQL("{}"),
        vectors=_text(served.vectors),
        vectors_text=_text(sql.SQL(" from {} v").format(served.vectors)),
        source_text=_text(sql.SQL(" join {} r on {}").format(served.relation.table, served.relation.same("r", "v"))),
        width=nearest.entries(generation),
        more=sql.Literal(_CHUNKS_ASKED if in_chunks else 1),
        oversample=sql.SQL("0" if nearest.oversample(generation) is None else "width"),
        measured_k=sql.Literal(nearest.MEASURED_K),
        setting=sql.Literal(nearest.width_setting(generation)),
        widest=sql.Literal(nearest.WIDEST),
        handed=sql.SQL(_HANDED).format(_text(served.vectors)),
        widened=nearest.width(generation) if generation.index_type == "ivfflat" else sql.SQL("greatest(width, wanted)"),
        compare=sql.Literal(COMPARE),
        entry=sql.Literal(ENTRY),
        lookup=sql.Literal(LOOKUP),
        unit=sql.Literal(UNIT),
        **_statements(served, top),
    )
    definition = sql.SQL(
        "create or replace function {function}(q vector, k integer, exact boolean, filter jsonb) "
        "returns table ({keys}, chunk_no integer, score double precision, generation integer{chunk}) "
        "language plpgsql stable {rights} rows 10 set search_path = {path} {settings} "
        "set hnsw.iterative_scan = relaxed_order set enable_sort = on as {body}"
    ).format(
        function=served.names.table("search", served.label + ENDING),
        keys=served.key_columns,
        rights=served.rights,
        chunk=sql.SQL(", chunk_start integer, chunk_stop integer, chunk_digest bytea" if in_chunks else ""),
        path=served.path,
        settings=nearest.settings(generation),
        body=sql.Literal("#variable_conflict use_variable " + body.as_string(None)),
    )
    return SqlFunction(served.label + ENDING, "vector, integer, boolean, jsonb", definition)


def _statements(served: Served, top: int) -> dict[str, sql.Composable]:
    """The statements that are executed: each a text, with the matching rows of a filter in its middle."""
    generation, relation = served.generation, served.relation
    question = sql.SQL("$1")
    parts: dict[str, sql.Composable] = {
        "names": relation.stored_key("v"),
        "keys": relation.stored_key("m"),
        "chunk_keys": relation.stored_key("c"),
        "same": relation.same_stored("v", "m"),
        "distance": nearest.distance(generation, "v", question),
        "vectors": served.vectors,
        "top": sql.Literal(top),
    }
    in_chunks = generation.chunked is not None
    best = sql.SQL(_BEST_CHUNKS if in_chunks else _BEST).format(**parts)
    reached = sql.SQL(_MEANS).format(**parts) if in_chunks else best
    near_enough = sql.SQL(" where b.distance <= (select max(m.distance) from m)" if top > 1 else "")
    start = _text(sql.SQL("with m as materialized (") + sql.SQL(_MATCHED).format(**parts))
    answer = _text(sql.SQL(_ANSWER).format(best=best, near_enough=sql.SQL("")))
    order = sql.SQL(" order by {} limit $3").format(nearest.order_by(generation, "v", question))
    by_index = order + sql.SQL(_ANSWER).format(best=reached, near_enough=near_enough)
    offsets = sql.SQL(", v.start_offset, v.stop_offset, v.chunk_digest" if in_chunks else "")
    found = sql.SQL(
        "select {names}, v.chunk_no, 1 - n.distance, {number}::integer{offsets} "
        "from unnest($1, $2) n (place, distance) join {vectors} v on v.ctid = n.place order by n.distance, {names}"
    ).format(number=sql.Literal(generation.number), offsets=offsets, **parts)
    return {
        "exact_limited": sql.SQL("{} || matching || ' limit $3' || {}").format(start, answer),
        "exact_whole": sql.SQL("{} || matching || {}").format(start, answer),
        "iterative": sql.SQL("{} || matching || {}").format(start, _text(by_index)),
        "found": _text(found),
    }


def _text(statement: sql.Composable) -> sql.Literal:
    return sql.Literal(statement.as_string(None))


def _names(names: list[str]) -> sql.Composed:
    return sql.SQL("array[{}]::text[]").format(sql.SQL(", ").join(map(sql.Literal, names)))
