"""The SQL face of a live generation, made anew when it goes live: a view of its rows, and functions that search."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg
from psycopg import sql

from vector_assets.records import Generation
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import READER, Database
from vector_assets.stores.lexical.index import serving
from vector_assets.stores.policies import follow_source
from vector_assets.stores.reader_rights import made_before_the_reader
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.bm25 import bm25_function
from vector_assets.stores.search_sql.conditions import column_types
from vector_assets.stores.search_sql.filtered import filtered_function
from vector_assets.stores.search_sql.function import search_function
from vector_assets.stores.search_sql.hybrid import hybrid_function, learned
from vector_assets.stores.search_sql.made import Served, SqlFunction
from vector_assets.stores.search_sql.partial import used_partials
from vector_assets.stores.search_sql.vectors import vectors_function
from vector_assets.stores.search_sql.view import drop_view, rows_view, shown

# What a function's name may add to its collection's.
_SUFFIXES = ("", "_filtered", "_bm25", "_hybrid", "_vectors")


def functions(served: Served) -> Iterator[SqlFunction]:
    """The functions of a collection; those that there were and that are not among them any more are dropped."""
    yield search_function(served)
    yield filtered_function(served, top=served.generation.top)
    yield vectors_function(served)
    if served.lexical is not None:
        yield bm25_function(served, served.lexical)
        yield hybrid_function(served)


class ViewStore:
    """Makes ``search.<collection>_rows``, ``search.<collection>(…)`` and its companions."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def replace(
        self, connection: Connection, collection: Collection, generation: Generation, relation: Relation
    ) -> None:
        """Create view and functions for a generation, in the caller's transaction."""
        served = self._served(connection, collection, generation, relation)
        if relation.secured:
            follow_source(connection, relation, (served.rows, served.vectors), served.names)
        self._replace_view(connection, served)
        # hnsw.ef_search is only a known setting once the extension's library is loaded.
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        made = list(functions(served))
        for oid, name, arguments, _ in self._there(connection, collection.name):
            if (name, arguments) not in {(one.name, one.arguments) for one in made}:
                self._drop(connection, oid)
        for function in made:
            self._replace_function(connection, function)

    def outdated(self, collection: Collection, generation: Generation, relation: Relation) -> bool:
        """Tell whether view or functions are not what would be made of the declaration and the generation now."""
        with self.database.connect() as connection:
            served = self._served(connection, collection, generation, relation)
            rows = connection.execute(
                "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 order by attnum",
                (self._view(served).as_string(connection),),
            ).fetchall()
            if _invokes(connection, self._view(served)) != relation.secured:
                return True
            if [str(row[0]) for row in rows] != [*shown(served), "embedded_at", "stale", "generation"]:
                return True
            if collection.name in made_before_the_reader(connection, self.database.names):
                return True
            there = {(name, arguments, digest) for _, name, arguments, digest in self._there(connection, served.label)}
        return there != {(one.name, one.arguments, _digest(one)) for one in functions(served)}

    @contextmanager
    def trial(
        self, collection: Collection, generation: Generation, relation: Relation
    ) -> Iterator[tuple[Connection, Served]]:
        """Make the functions of a generation, live or not, under a name of their own that is gone after the block."""
        with self.database.connect() as connection, connection.transaction(force_rollback=True):
            served = self._served(connection, collection, generation, relation)
            # No collection's name begins with an underscore.
            served = replace(served, collection=collection.model_copy(update={"name": "_" + collection.name}))
            connection.execute("select '[1]'::vector <=> '[1]'::vector")
            for function in functions(served):
                connection.execute(function.definition)
            yield connection, served

    def _served(
        self, connection: Connection, collection: Collection, generation: Generation, relation: Relation
    ) -> Served:
        row = connection.execute(
            "select n.nspname from pg_extension e join pg_namespace n on n.oid = e.extnamespace "
            "where extname = 'vector'"
        ).fetchone()
        assert row is not None
        types = column_types(connection, relation)
        declared = collection.lexical
        lexical = serving(self.database, connection, collection.name, declared) if declared else None
        fusion = learned(connection, self.database.names, generation) if lexical else None
        partials = used_partials(connection, self.database.names, generation, types)
        return Served(
            collection, generation, relation, self.database.names, str(row[0]), types, partials, lexical, fusion
        )

    def _view(self, served: Served) -> sql.Identifier:
        return served.names.table("search", served.label + "_rows")

    def _replace_view(self, connection: Connection, served: Served) -> None:
        view = self._view(served)
        made = rows_view(served, view)
        # Replaced, not dropped: a reader who has just looked the name up must find it when the swap commits.
        try:
            with connection.transaction():
                connection.execute(made)
        except psycopg.errors.InvalidTableDefinition:  # other columns
            drop_view(connection, view, why="has other columns now")
            connection.execute(made)
        self._grant(connection, sql.SQL("grant select on {} to {}").format(view, sql.Identifier(READER)))

    def _replace_function(self, connection: Connection, function: SqlFunction) -> None:
        try:
            with connection.transaction():
                connection.execute(function.definition)
        except psycopg.errors.InvalidFunctionDefinition:  # it returns other columns: another key, or chunks now
            for oid, name, _, _ in self._there(connection, function.name):
                if name == function.name:
                    self._drop(connection, oid)
            connection.execute(function.definition)
        signature = sql.SQL("{}({})").format(
            self.database.names.table("search", function.name), sql.SQL(function.arguments)
        )
        connection.execute(
            sql.SQL("comment on function {} is {}").format(signature, sql.Literal("vector_assets " + _digest(function)))
        )
        connection.execute(sql.SQL("revoke all on function {} from public").format(signature))
        self._grant(connection, sql.SQL("grant execute on function {} to {}").format(signature, sql.Identifier(READER)))

    def _there(self, connection: Connection, collection: str) -> list[tuple[int, str, str, str]]:
        """The functions that a collection has: oid, name, types of the arguments, digest of what made it."""
        rows = connection.execute(
            "select p.oid::bigint, p.proname, (select string_agg(format_type(t.type, null), ', ' order by t.place) "
            "from unnest(p.proargtypes::oid[]) with ordinality t (type, place)), obj_description(p.oid, 'pg_proc') "
            "from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
            "where n.nspname = %s and p.proname = any(%s)",
            (self.database.names.prefix + "search", [collection + suffix for suffix in _SUFFIXES]),
        ).fetchall()
        found = []
        for oid, name, arguments, said in rows:
            types = ", ".join(part.rpartition(".")[2] for part in str(arguments or "").split(", "))
            found.append((int(str(oid)), str(name), types, str(said or "").removeprefix("vector_assets ")))
        return found

    def _drop(self, connection: Connection, oid: int) -> None:
        row = connection.execute("select %s::bigint::oid::regprocedure::text", (oid,)).fetchone()
        assert row is not None
        connection.execute(sql.SQL("drop function {}").format(sql.SQL(str(row[0]))))

    def _grant(self, connection: Connection, grant: sql.Composed) -> None:
        try:
            with connection.transaction():
                connection.execute(grant)
        except (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege):
            return


def _invokes(connection: Connection, view: sql.Identifier) -> bool:
    """Tell whether a view runs as its caller."""
    row = connection.execute(
        "select coalesce('security_invoker=true' = any(reloptions), false) from pg_class where oid = to_regclass(%s)",
        (view.as_string(connection),),
    ).fetchone()
    return bool(row and row[0])


def _digest(function: SqlFunction) -> str:
    return hashlib.sha256(function.definition.as_string(None).encode()).hexdigest()
