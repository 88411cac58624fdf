"""``search.<collection>_vectors(…)``: vectors of given rows, of the neighbourhood of a vector, and of the whole table.

What ranking by examples needs, in one answer: ``vector_role`` is key, near or sample. A reader who may search rows may
read their vectors here, and no others.
"""

from __future__ import annotations

from psycopg import sql

from vector_assets.stores.search_sql.made import Served, SqlFunction

#: The sample is drawn from so many times as many rows, blocks spread over the table, so that no query reads it whole.
_DRAWN = 20
#: And from at least so many blocks, for a share of few blocks may be none.
_BLOCKS = 100

#: From one in so many rows on, a scan of all is faster than the index (measured at 20,000 x 384: 59 ms, not 123).
_SHARE = 20


def vectors_function(served: Served) -> SqlFunction:
    """Compose the function. It raises when a checkpoint is named that is not live, or the vector has another width.

    ``row_keys`` is a JSON array of JSON row keys; what has no vector comes with its state (empty, failed) and none.
    ``k`` is how many rows near ``q`` are wanted, by search.<collection> itself: its index, its filter. ``sample_size``
    rows of the table come in the order of a hash of their keys: the same ones while the table stays as it is.
    """
    name = served.collection.name + "_vectors"
    body = sql.SQL("declare share real; entries real; begin {stamped} {given} {near} {sampled} end").format(
        stamped=served.stamped("k > 0"), given=_given(served), near=_near(served), sampled=_sampled(served)
    )
    definition = sql.SQL(
        "create or replace function {function}(row_keys jsonb default null, q vector default null, "
        "k integer default 0, sample_size integer default 0, checkpoint text default null, "
        "exact boolean default false, filter jsonb default null) returns table (vector_role text, {keys}, "
        "vector_place bigint, chunk_no integer, score double precision, vector_state text, chunk_start integer, "
        "chunk_stop integer, chunk_digest bytea, row_vector vector) language plpgsql stable {rights} rows 1000 "
        "set search_path = {path} set plan_cache_mode = force_custom_plan as {body}"
    ).format(
        function=served.names.table("search", name),
        keys=served.key_columns,
        rights=served.rights,
        path=served.path,
        body=sql.Literal("#variable_conflict use_column " + body.as_string(None)),
    )
    return SqlFunction(name, "jsonb, vector, integer, integer, text, boolean, jsonb", definition)


def _given(served: Served) -> sql.Composed:
    relation = served.relation
    wanted = [
        sql.SQL("(e.value ->> {})::{} as {}").format(sql.Literal(place), sql.SQL(column.type), sql.Identifier(name))
        for place, (column, name) in enumerate(zip(relation.key, relation.key_names, strict=True))
    ]
    return sql.SQL(
        "if row_keys is not null then return query select 'key', {names}, w.place, v.chunk_no, "
        "1 - (v.vector::vector <=> q), g.state::text, v.start_offset, v.stop_offset, v.chunk_digest, v.vector::vector "
        "from (select {wanted}, e.place from jsonb_array_elements(row_keys) with ordinality e (value, place)) w "
        "join {rows} g on {same} left join {vectors} v on {stored} order by w.place, v.chunk_no; end if;"
    ).format(
        names=relation.stored_key("g"),
        wanted=sql.SQL(", ").join(wanted),
        rows=served.rows,
        vectors=served.vectors,
        same=relation.same_stored("w", "g"),
        stored=relation.same_stored("g", "v"),
    )


def _near(served: Served) -> sql.Composed:
    relation = served.relation
    return sql.SQL(
        "if k > 0 then "
        "select c.reltuples into entries from pg_class c where c.oid = {table}::regclass; "
        "return query select 'near', {names}, f.place, v.chunk_no, f.score, 'done', v.start_offset, "
        "v.stop_offset, v.chunk_digest, v.vector::vector from "
        "(select {found}, n.chunk_no, n.score, row_number() over () as place "
        "from {search}(q, k, checkpoint, exact or {share} * k::bigint > entries, filter) n) f "
        "join {vectors} v on {same} and v.chunk_no = f.chunk_no order by f.place; end if;"
    ).format(
        table=sql.Literal(served.vectors.as_string(None)),
        share=sql.Literal(_SHARE),
        names=relation.stored_key("v"),
        search=served.names.table("search", served.collection.name),
        vectors=served.vectors,
        found=relation.as_stored("n"),  # a column of the source may be called place
        same=relation.same_stored("f", "v"),
    )


def _sampled(served: Served) -> sql.Composed:
    relation = served.relation
    return sql.SQL(
        "if sample_size > 0 then "
        "select least(100, 100.0 * greatest({drawn} * sample_size / greatest(c.reltuples, 1), "
        "{blocks}::real / greatest(c.relpages, 1))) into share "
        "from pg_class c where c.oid = {table}::regclass; "
        "return query select 'sample', {names}, row_number() over (), v.chunk_no, "
        "1 - (v.vector::vector <=> q), 'done', v.start_offset, v.stop_offset, v.chunk_digest, v.vector::vector from "
        "(select s.*, hashtextextended(row({sampled}, s.chunk_no)::text, 0) as draw "
        "from {vectors} s tablesample system (share) repeatable (0) order by draw limit sample_size) v; end if;"
    ).format(
        drawn=sql.Literal(_DRAWN),
        blocks=sql.Literal(_BLOCKS),
        table=sql.Literal(served.vectors.as_string(None)),
        names=relation.stored_key("v"),
        sampled=relation.stored_key("s"),
        vectors=served.vectors,
    )
