"""The two tables of a generation: how they look, how they are made, follow their source's types, and go."""

from __future__ import annotations

import psycopg
from psycopg import sql

from vector_assets.errors import SourceError
from vector_assets.records import Generation
from vector_assets.stores.connections import Connection
from vector_assets.stores.contents import ContentStore
from vector_assets.stores.cursors import CursorStore
from vector_assets.stores.database import Database
from vector_assets.stores.relation import Relation, columns
from vector_assets.stores.search_sql.view import drop_view


class GenerationTables:
    """Makes, copies and drops ``embedding.<c>_g<N>`` and ``embedding.<c>_g<N>_rows``."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database
        self.contents = ContentStore(database)
        self.cursors = CursorStore(database)

    def create(self, connection: Connection, generation: Generation, relation: Relation) -> None:
        """Create both tables. Constraints refuse a row without its stamp, or of another space or width."""
        compose = self.database.compose
        keys = sql.SQL(", ").join(sql.Identifier(name) for name in relation.key_names)
        digests = sql.SQL(", ").join(
            sql.SQL("{} bytea not null").format(sql.Identifier(name)) for name in digest_columns(generation)
        )
        connection.execute(
            compose(
                "create table {table} ({key}, row_digest bytea not null, {digests}, "
                "chunk_count integer not null check (chunk_count >= 0), "
                "state text not null check (state in ('done', 'empty', 'failed')), "
                "applied_xid xid8 not null default pg_current_xact_id(), "
                "embedded_at timestamptz not null default clock_timestamp(), "
                "check ((state = 'done') = (chunk_count > 0)), primary key ({keys}))",
                table=self.rows_table(generation),
                key=relation.key_definition(),
                digests=digests,
                keys=keys,
            )
        )
        filters = sql.SQL("").join(
            sql.SQL(", {} {}").format(sql.Identifier("f_" + name), sql.SQL(kind))
            for name, kind in self._filter_types(connection, generation, relation).items()
        )
        connection.execute(
            compose(
                "create table {table} ({key}, chunk_no integer not null check (chunk_no >= 0), "
                "chunk_digest bytea not null, start_offset integer not null, stop_offset integer not null, "
                "vector {kind}({dims}) not null, present bigint not null check (present > 0), "
                "checkpoint_set text not null check (checkpoint_set = {stamp}), truncated boolean not null{filters}, "
                "primary key ({keys}, chunk_no))",
                table=self.vectors_table(generation),
                key=relation.key_definition(),
                kind=sql.SQL(generation.vector_type),
                dims=sql.Literal(generation.dims),
                stamp=sql.Literal(generation.checkpoint_set),
                filters=filters,
                keys=keys,
            )
        )

    def drop(self, connection: Connection, generation: Generation) -> None:
        """Drop both tables, and what is known of them."""
        self._forget(connection, generation)
        for table in (self.vectors_table(generation), self.rows_table(generation)):
            connection.execute(sql.SQL("drop table if exists {}").format(table))

    def copy(self, connection: Connection, old: Generation, new: Generation, relation: Relation) -> int:
        """Copy vectors of the same meaning into a new generation; return the rows copied."""
        keys = columns(relation.key_names, "v")
        filters = [f for f in new.filters]
        source = sql.SQL("").join(sql.SQL(", r.{}").format(sql.Identifier(name)) for name in filters)
        target = sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier("f_" + name)) for name in filters)
        plain = sql.SQL(", ").join(sql.Identifier(name) for name in relation.key_names)
        rest = sql.SQL("chunk_no, chunk_digest, start_offset, stop_offset, vector, present, checkpoint_set, truncated")
        own = sql.SQL(
            "v.chunk_no, v.chunk_digest, v.start_offset, v.stop_offset, v.vector::{}, v.present, "
            "v.checkpoint_set, v.truncated"
        ).format(sql.SQL(new.vector_type))
        connection.execute(
            sql.SQL("insert into {} ({}, {}{}) select {}, {}{} from {} v join {} r on {}").format(
                self.vectors_table(new), plain, rest, target, keys, own, source,
                self.vectors_table(old), relation.table, relation.same("r", "v"),
            )
        )  # fmt: skip
        digests = sql.SQL(", ").join(sql.Identifier(name) for name in digest_columns(new))
        return connection.execute(
            sql.SQL(
                "insert into {} ({}, row_digest, {}, chunk_count, state) "
                "select {}, g.row_digest, {}, g.chunk_count, g.state from {} g join {} r on {} where "
                "g.state <> 'failed'"
            ).format(
                self.rows_table(new), plain, digests, columns(relation.key_names, "g"),
                columns(digest_columns(new), "g"), self.rows_table(old), relation.table, relation.same("r", "g"),
            )
        ).rowcount  # fmt: skip

    def rows_table(self, generation: Generation) -> sql.Identifier:
        """The table with one row per source row."""
        return self.database.names.table("embedding", generation.table + "_rows")

    def vectors_table(self, generation: Generation) -> sql.Identifier:
        """The table with one row per vector."""
        return self.database.names.table("embedding", generation.table)

    def _filter_types(self, connection: Connection, generation: Generation, relation: Relation) -> dict[str, str]:
        types = _types(connection, relation.table)
        return {name: types[name] for name in generation.filters}

    def follow_types(self, connection: Connection, generation: Generation, relation: Relation) -> None:
        """Give both tables the types that key and filters have in the source now; usually they have them.

        Where a key cannot be converted, nothing can be found again: the tables are made anew, and filled by the sync.
        Raises SourceError where the source has lost a column that the generation reads.
        """
        there = _types(connection, relation.table)
        if gone := [name for name in read_fields(generation) if name not in there]:
            raise SourceError(
                f"collection {generation.collection}: generation {generation.number} ({generation.state}) reads "
                f"{', '.join(gone)}, which {relation.table.as_string(connection)} has no more; give it back until "
                "another generation is live, or declare the rows under another name"
            )
        keys = {name: column.type for name, column in zip(relation.key_names, relation.key, strict=True)}
        filters = {f"f_{n}": kind for n, kind in self._filter_types(connection, generation, relation).items()}
        tables = ((self.rows_table(generation), keys), (self.vectors_table(generation), keys | filters))
        try:
            with connection.transaction():
                for table, wanted in tables:
                    present = _types(connection, table)
                    for name, kind in wanted.items():
                        if present.get(name) != kind:
                            if name in filters:
                                _drop_partial(connection, table, name)
                            else:
                                self._drop_view(connection, generation)
                            connection.execute(
                                sql.SQL("alter table {0} alter column {1} type {2} using {3}").format(
                                    table, sql.Identifier(name), sql.SQL(kind),
                                    sql.SQL("null" if name in filters else "{}::text::{}").format(
                                        sql.Identifier(name), sql.SQL(kind)
                                    ),
                                )
                            )  # fmt: skip
                            if name in filters:  # the values follow with the rows, whose vectors are kept
                                connection.execute(
                                    sql.SQL("update {} set row_digest = ''").format(self.rows_table(generation))
                                )
                            self._forget(connection, generation)
        except (psycopg.errors.DataError, psycopg.errors.UndefinedColumn):
            with connection.transaction():
                self.drop(connection, generation)
                self.create(connection, generation, relation)

    def _drop_view(self, connection: Connection, generation: Generation) -> None:
        """Drop the view of the rows, which holds the key's type; it is outdated then, and made anew with the swap."""
        view = self.database.names.table("search", generation.collection + "_rows")
        drop_view(connection, view, why="has a key of another type now")

    def _forget(self, connection: Connection, generation: Generation) -> None:
        """The rows were changed by other ways than a sync: count them anew, compare them all."""
        self.contents.forget(connection, generation)
        self.cursors.forget(connection, generation.collection, str(generation.number))


def _drop_partial(connection: Connection, table: sql.Identifier, column: str) -> None:
    """Drop the partial indexes over a column: their conditions are of its old type. The next build makes them anew."""
    rows = connection.execute(
        "select distinct i.indexrelid::regclass::text from pg_index i "
        "join pg_depend d on d.objid = i.indexrelid and d.classid = 'pg_class'::regclass "
        "and d.refobjid = i.indrelid join pg_attribute a on a.attrelid = i.indrelid and a.attnum = d.refobjsubid "
        "where i.indrelid = %s::regclass and i.indpred is not null and a.attname = %s",
        (table.as_string(connection), column),
    ).fetchall()
    for (index,) in rows:
        connection.execute(sql.SQL("drop index {}").format(sql.SQL(str(index))))


def _types(connection: Connection, table: sql.Identifier) -> dict[str, str]:
    rows = connection.execute(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute "
        "where attrelid = %s::regclass and attnum > 0 and not attisdropped",
        (table.as_string(connection),),
    ).fetchall()
    return {str(name): str(kind) for name, kind in rows}


def digest_columns(generation: Generation) -> list[str]:
    """Names of the columns that hold the digest of each space's inputs."""
    return [f"d{number}" for number in range(1, len(generation.parts) + 1)]


def read_fields(generation: Generation) -> list[str]:
    """All that is read of a row: the spaces' fields, then the filters."""
    return [*(field for part in generation.parts for field in part.fields), *generation.filters]


def row_digest(generation: Generation, relation: Relation, alias: str) -> sql.Composed:
    """SQL for the digest of all that is read of a row."""
    return relation.digest(read_fields(generation), alias)
