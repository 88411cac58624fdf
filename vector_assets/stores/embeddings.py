"""Tables of a generation: what they look like, what they hold, when they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import psycopg
from psycopg import sql

from vector_assets.records import Generation, Key, Vectors
from vector_assets.stores.arrays import to_array
from vector_assets.stores.contents import ContentStore
from vector_assets.stores.database import Connection, Database
from vector_assets.stores.difference import DifferenceStore
from vector_assets.stores.failures import FailureStore
from vector_assets.stores.relation import Relation, columns
from vector_assets.stores.staging import Staging
from vector_assets.stores.sync import GenerationSync


@dataclass(frozen=True, slots=True)
class Coverage:
    """Source and vectors, counted against each other in both directions."""

    source: int  # rows of the source
    embedded: int  # rows with all their chunks
    empty: int
    failed: int
    pending: int  # rows whose inputs are not what the generation holds, failed ones included until they change
    orphans: int  # rows with vectors that the source no longer has
    stale: int  # rows whose vector is of older inputs
    overdue: int  # pending rows that stood as they are before ``since``

    @property
    def share(self) -> float:
        """Rows accounted for (embedded or empty) of those in the source; 1.0 for an empty source."""
        return 1.0 if not self.source else (self.embedded + self.empty) / self.source


class EmbeddingStore:
    """Creates, reads and drops the tables of generations."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database
        self.failures = FailureStore(database)
        self.contents = ContentStore(database)
        self.differences = DifferenceStore(database)

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
            "v.chunk_no, v.chunk_digest, v.start_offset, v.stop_offset, v.vector, v.present, "
            "v.checkpoint_set, v.truncated"
        )
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

    @contextmanager
    def sync(
        self,
        generation: Generation,
        relation: Relation,
        *,
        reuse: Generation | None = None,
        page: int = 1024,
        run_id: str | None = None,
        whole: bool = False,
    ) -> Iterator[GenerationSync]:
        """Open a sync of one generation, alone: a second one waits for the first to end.

        Only keys that are known to have changed are compared, where changes are captured; ``whole`` compares all.
        """
        old = reuse or generation
        rows, vectors = self.rows_table(generation), self.vectors_table(generation)
        with (
            self.database.connect(autocommit=True) as reading,
            self.database.connect(autocommit=True) as writing,
        ):
            reading.execute(
                "select pg_advisory_lock(hashtextextended(%s, 2))",
                (f"embeddings/{generation.collection}/{generation.number}",),
            )
            self._follow_types(reading, generation, relation)
            held, _ = self.contents.version(reading, generation)
            staging = Staging(writing, generation, relation, rows, vectors, self.contents)
            staging.prepare()
            difference = self.differences.list(
                reading,
                generation.collection,
                str(generation.number),
                relation,
                rows=rows,
                fields=tuple(read_fields(generation)),
                whole=whole,
            )
            sync = GenerationSync(
                self.database, reading, staging, difference, held,
                (old, self.rows_table(old), self.vectors_table(old)), self.failures, page, run_id,
            )  # fmt: skip
            yield sync
            sync.finish()

    def now(self) -> str:
        """Return the oldest transaction still running: what committed before it, every later sync sees."""
        with self.database.connect() as connection:
            row = connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::xid::text").fetchone()
        assert row is not None
        return str(row[0])

    def coverage(self, generation: Generation, relation: Relation, *, since: str | None = None) -> Coverage:
        """Count source against vectors, both ways, by the same digests as the sync.

        ``since`` comes from ``now``. A table that is written to always has rows that the last sync did not see; only
        those that it should have seen are overdue. Without ``since`` all pending rows are.
        """
        query = sql.SQL(
            "select count(*) filter (where {source_key} is not null), "
            "count(*) filter (where g.state = 'done' and {source_key} is not null and g.row_digest = {digest}), "
            "count(*) filter (where g.state = 'empty' and g.row_digest = {digest}), "
            "count(*) filter (where g.state = 'failed' and g.row_digest = {digest}), "
            "count(*) filter (where {source_key} is not null and g.row_digest is distinct from {digest}), "
            "count(*) filter (where {source_key} is null), "
            "count(*) filter (where {source_key} is not null and g.row_digest <> {digest}), "
            "count(*) filter (where {source_key} is not null and g.row_digest is distinct from {digest} "
            "and ({since}::xid is null or age(r.xmin) > age({since}::xid))) "
            "from {table} r full join {rows} g on {same}"
        ).format(
            since=sql.Literal(since),
            source_key=sql.Identifier("r", relation.key[0].name),
            digest=row_digest(generation, relation, "r"),
            table=relation.table,
            rows=self.rows_table(generation),
            same=relation.same("r", "g"),
        )
        with self.database.connect() as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return Coverage(*(int(str(value)) for value in row))

    def content_version(self, generation: Generation) -> str:
        """Digest of what a generation holds: its meaning, and each row with the digest of its inputs."""
        with self.database.connect() as connection:
            return self.contents.version(connection, generation)[1]

    def chunk_gaps(self, generation: Generation, relation: Relation) -> int:
        """Count rows whose number of vectors is not the number they were cut into."""
        with self.database.connect() as connection:
            row = connection.execute(
                sql.SQL(
                    "select count(*) from {} g left join (select {}, count(*) as n from {} v group by {}) c on {} "
                    "where g.chunk_count <> coalesce(c.n, 0)"
                ).format(
                    self.rows_table(generation), columns(relation.key_names, "v"), self.vectors_table(generation),
                    columns(relation.key_names, "v"), relation.same_stored("g", "c"),
                )
            ).fetchone()  # fmt: skip
        assert row is not None
        return int(str(row[0]))

    def blocks(
        self, generation: Generation, relation: Relation, *, size: int = 8192
    ) -> Iterator[tuple[list[Key], Vectors]]:
        """Stream keys and vectors in key order, ``size`` chunks at a time: (keys, (n, dims) float32)."""
        with self.database.connect() as connection, connection.cursor(name="blocks", binary=True) as cursor:
            cursor.itersize = size
            keys = columns(relation.key_names, "v")
            cursor.execute(
                sql.SQL("select {}, v.vector from {} v order by {}, v.chunk_no").format(
                    keys, self.vectors_table(generation), keys
                )
            )
            while rows := cursor.fetchmany(size):
                yield [cast(Key, row[:-1]) for row in rows], np.stack([to_array(row[-1]) for row in rows])

    def sizes(self, generation: Generation) -> tuple[int, int]:
        """Return the bytes of the vectors' table and of its indexes."""
        with self.database.connect() as connection:
            row = connection.execute(
                sql.SQL("select pg_table_size({0}::regclass), pg_indexes_size({0}::regclass)").format(
                    sql.Literal(self.vectors_table(generation).as_string(connection))
                )
            ).fetchone()
        assert row is not None
        return int(str(row[0])), int(str(row[1]))

    def rows_table(self, generation: Generation) -> sql.Identifier:
        """The table with one row per source row."""
        return self.database.names.table("embedding", generation.table + "_rows")

    def vectors_table(self, generation: Generation) -> sql.Identifier:
        """The table with one row per vector."""
        return self.database.names.table("embedding", generation.table)

    def _filter_types(self, connection: Connection, generation: Generation, relation: Relation) -> dict[str, str]:
        types = _types(connection, relation.table)
        return {name: types[name] for name in generation.filters}

    def _follow_types(self, connection: Connection, generation: Generation, relation: Relation) -> None:
        """Give both tables the types that key and filters have in the source now; usually they have them.

        Where a key cannot be converted, nothing can be found again: the tables are made anew, and filled by the sync.
        """
        keys = {name: column.type for name, column in zip(relation.key_names, relation.key, strict=True)}
        filters = {f"f_{n}": kind for n, kind in self._filter_types(connection, generation, relation).items()}
        tables = ((self.rows_table(generation), keys), (self.vectors_table(generation), keys | filters))
        try:
            with connection.transaction():
                for table, wanted in tables:
                    present = _types(connection, table)
                    for name, kind in wanted.items():
                        if present.get(name) != kind:
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

    def _forget(self, connection: Connection, generation: Generation) -> None:
        """The rows were changed by other ways than a sync: count them anew, compare them all."""
        self.contents.forget(connection, generation)
        self.differences.cursors.forget(connection, generation.collection, str(generation.number))


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
