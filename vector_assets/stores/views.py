"""The SQL face of a live generation: a view over its rows, and a function that searches it."""

from __future__ import annotations

from typing import LiteralString

import psycopg
from psycopg import sql

from vector_assets.errors import DatabaseError
from vector_assets.records import Generation
from vector_assets.spec import Collection
from vector_assets.stores.database import READER, Connection, Database
from vector_assets.stores.relation import Relation, columns

_ROWS: LiteralString = (
    "if exact then perform set_config('enable_indexscan', 'off', true); end if; "
    # The index hands out ef_search rows at most; more are asked for by a wider search.
    "if k > {ef} then perform set_config('hnsw.ef_search', least(k, 1000)::text, true); end if; "
    "return query select {names}, v.chunk_no, 1 - (v.vector <=> q::{kind}), {number}::integer "
    "from {vectors} v order by v.vector <=> q::{kind} limit k;"
)
_VARIABLES: LiteralString = (
    "declare wanted integer := least(4 * k::bigint, 2000000000); seen integer; reached integer; places tid[]; "
)
# A row is found by its best chunk. The index hands out chunks, nearest first, so the first k distinct rows among them
# are the k best rows; ever more chunks are asked for until there are so many. An index that gives up before that
# (hnsw.max_scan_tuples, or a crowd of dead entries) is finished by a scan of all chunks, which is what exact asks for.
_CHUNKS: LiteralString = (
    "if k < 1 then return; end if; "
    "if k is null then exact := true; end if; "
    "while not exact loop "
    "perform set_config('hnsw.ef_search', greatest({ef}, least(wanted, 1000))::text, true); "
    "select count(*), count(distinct row({near})), array_agg(n.place) into seen, reached, places from "
    "(select v.ctid as place, {names} from {vectors} v order by v.vector <=> q::{kind} limit wanted) n; "
    "exit when reached >= k; "
    "if seen < wanted then exact := true; else wanted := least(4 * wanted::bigint, 2000000000); end if; "
    "end loop; "
    "if exact then "
    "return query select {names}, v.chunk_no, 1 - n.best[1], {number}::integer, "
    "v.start_offset, v.stop_offset, v.chunk_digest from "
    "(select {plain}, min(array[v.vector <=> q::{kind}, v.chunk_no::double precision]) as best "
    "from {vectors} v group by {plain} order by best, {plain} limit k) n "
    "join {vectors} v on {same} and v.chunk_no = n.best[2] order by n.best, {near}; "
    "else "
    "return query select {near}, n.chunk_no, 1 - n.distance, {number}::integer, "
    "n.start_offset, n.stop_offset, n.chunk_digest from "
    "(select distinct on ({names}) {names}, v.chunk_no, v.vector <=> q::{kind} as distance, "
    "v.start_offset, v.stop_offset, v.chunk_digest from {vectors} v where v.ctid = any(places) "
    "order by {names}, distance, v.chunk_no) n order by n.distance, {near} limit k; "
    "end if;"
)


class ViewStore:
    """Makes ``search.<collection>_rows`` and ``search.<collection>(…)`` anew when a generation goes live."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def replace(
        self, connection: Connection, collection: Collection, generation: Generation, relation: Relation
    ) -> None:
        """Create view and function for a generation, in the caller's transaction."""
        view = self.database.names.table("search", collection.name + "_rows")
        made = self._view(collection, generation, relation, view)
        # Replaced, not dropped: a reader who has just looked the name up must find it when the swap commits.
        try:
            with connection.transaction():
                connection.execute(made)
        except psycopg.errors.InvalidTableDefinition:  # other columns
            try:
                connection.execute(sql.SQL("drop view {}").format(view))
            except psycopg.errors.DependentObjectsStillExist as error:
                raise DatabaseError(
                    f"{view.as_string(connection)} has other columns now and must be made anew, but "
                    f"{' '.join((error.diag.message_detail or 'something').split())}; drop that first"
                ) from None
            connection.execute(made)
        function = self.database.names.table("search", collection.name)
        # hnsw.ef_search is only a known setting once the extension's library is loaded.
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        asked = self._function(connection, collection, generation, relation, function)
        try:
            with connection.transaction():
                connection.execute(asked)
        except psycopg.errors.InvalidFunctionDefinition:  # another key
            self._drop_functions(connection, collection.name)
            connection.execute(asked)
        self._grant(connection, view, function, generation)

    def outdated(self, collection: Collection, relation: Relation) -> bool:
        """Tell whether the view has other columns than are declared, or is gone because one changed its type."""
        with self.database.connect() as connection:
            name = self.database.names.table("search", collection.name + "_rows").as_string(connection)
            rows = connection.execute(
                "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 order by attnum",
                (name,),
            ).fetchall()
        return [str(row[0]) for row in rows] != [*_shown(collection, relation), "embedded_at", "stale", "generation"]

    def _view(
        self, collection: Collection, generation: Generation, relation: Relation, view: sql.Identifier
    ) -> sql.Composed:
        read = [*(field for part in generation.parts for field in part.fields), *generation.filters]
        return self.database.compose(
            "create or replace view {view} as select {fields}, g.embedded_at, "
            "g.row_digest is distinct from {digest} as stale, {number}::integer as generation "
            "from {source} r left join {rows} g on {same}",
            view=view,
            fields=_columns(_shown(collection, relation), relation),
            digest=relation.digest(read, "r"),
            number=sql.Literal(generation.number),
            source=relation.table,
            rows=self.database.names.table("embedding", generation.table + "_rows"),
            same=relation.same("r", "g"),
        )

    def _function(
        self,
        connection: Connection,
        collection: Collection,
        generation: Generation,
        relation: Relation,
        function: sql.Identifier,
    ) -> sql.Composed:
        row = connection.execute(
            "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace "
            "where extname = 'vector'"
        ).fetchone()
        assert row is not None
        keys = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in relation.key
        )
        in_chunks = generation.chunked is not None
        body = sql.SQL(
            "{variables} begin "
            "if checkpoint is not null and checkpoint not in ({stamps}) then "
            "raise exception 'checkpoint % is not live for collection {label}; live is generation "
            "{number} with {live}', "
            "checkpoint using errcode = 'object_not_in_prerequisite_state'; end if; "
            "if vector_dims(q) <> {dims} then raise exception 'a query for {label} has {dims} dimensions, found %', "
            "vector_dims(q) using errcode = 'data_exception'; end if; "
            "{answer} end"
        ).format(
            variables=sql.SQL(_VARIABLES if in_chunks else ""),
            stamps=sql.SQL(", ").join(
                sql.Literal(stamp) for stamp in (generation.checkpoint_set, *generation.checkpoints.values())
            ),
            label=sql.SQL(collection.name),
            number=sql.Literal(generation.number),
            live=sql.SQL(", ".join(generation.checkpoints.values())),
            dims=sql.Literal(generation.dims),
            answer=self._answer(generation, relation),
        )
        # A forced custom plan knows the limit; a generic one guesses a tenth of the table and may not use the index.
        return sql.SQL(
            "create or replace function {function}(q vector, k integer default 10, checkpoint text default null, "
            "exact boolean default false) returns table ({keys}, chunk_no integer, score double precision, "
            "generation integer{chunk}) language plpgsql stable security definer rows 10 "
            "set search_path = pg_catalog, {schema}, pg_temp set plan_cache_mode = force_custom_plan "
            "set enable_indexscan = on set hnsw.ef_search = {ef} set hnsw.iterative_scan = strict_order as {body}"
        ).format(
            function=function,
            keys=keys,
            chunk=sql.SQL(", chunk_start integer, chunk_stop integer, chunk_digest bytea" if in_chunks else ""),
            schema=sql.Identifier(str(row[0])),
            ef=sql.Literal(generation.ef_search or 40),
            body=sql.Literal("#variable_conflict use_column " + body.as_string(connection)),
        )

    def _answer(self, generation: Generation, relation: Relation) -> sql.Composed:
        """The statements that return k rows: the nearest vectors, or the rows of the nearest chunks."""
        return sql.SQL(_CHUNKS if generation.chunked is not None else _ROWS).format(
            ef=sql.Literal(generation.ef_search or 40),
            names=columns(relation.key_names, "v"),
            near=columns(relation.key_names, "n"),
            plain=sql.SQL(", ").join(sql.Identifier(name) for name in relation.key_names),
            same=relation.same_stored("v", "n"),
            kind=sql.SQL(generation.vector_type),
            number=sql.Literal(generation.number),
            vectors=self.database.names.table("embedding", generation.table),
        )

    def _drop_functions(self, connection: Connection, name: str) -> None:
        rows = connection.execute(
            "select p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
            "where n.nspname = %s and p.proname = %s",
            (self.database.names.prefix + "search", name),
        ).fetchall()
        for (signature,) in rows:
            connection.execute(sql.SQL("drop function {}").format(sql.SQL(str(signature))))

    def _grant(
        self, connection: Connection, view: sql.Identifier, function: sql.Identifier, generation: Generation
    ) -> None:
        signature = sql.SQL("{}(vector, integer, text, boolean)").format(function)
        connection.execute(sql.SQL("revoke all on function {} from public").format(signature))
        try:
            with connection.transaction():
                connection.execute(sql.SQL("grant select on {} to {}").format(view, sql.Identifier(READER)))
                connection.execute(
                    sql.SQL("grant execute on function {} to {}").format(signature, sql.Identifier(READER))
                )
        except (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege):
            return


def _columns(names: list[str], relation: Relation) -> sql.Composed:
    """The source's columns as the view gives them: an image is named by its digest, for a hit is read for its text."""
    return sql.SQL(", ").join(
        sql.SQL("'sha256:' || encode(sha256({}), 'hex') as {}").format(sql.Identifier("r", name), sql.Identifier(name))
        if name in relation.images
        else sql.Identifier("r", name)
        for name in names
    )


def _shown(collection: Collection, relation: Relation) -> list[str]:
    """The source's columns in the view: the key, then the fields."""
    names = [column.name for column in relation.key]
    return [*names, *(field for field in collection.fields if field not in names)]
