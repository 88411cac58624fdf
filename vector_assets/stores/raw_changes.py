"""A source that tells what changed since a position: only that is read, and what left is found by a sweep of the keys.

The position is where reading starts again, itself included, so that rows with an equal cursor are not lost; what is
read a second time differs in nothing and is not written.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypeGuard, cast

from psycopg import sql

from vector_assets.records import ChangesReader, Key, KeyColumn, SourceReader
from vector_assets.source.keys import row_key
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.raw_merge import EVERYTHING, NOTHING, Staging, refuse_empty, same, stands_twice
from vector_assets.stores.raw_record import RawSync
from vector_assets.stores.raw_tables import ensure_table, is_as_declared, key_names, number, plain, stored_key
from vector_assets.stores.raw_write import RawWriter
from vector_assets.stores.relation import Relation


def gives_changes(reader: SourceReader) -> TypeGuard[ChangesReader]:
    """Tell whether a source can be asked for changes."""
    return hasattr(type(reader), "changes")


def sync_changes(
    writer: RawWriter, collection: Collection, reader: ChangesReader, *, run_id: str | None = None
) -> RawSync:
    """Read what changed and merge it, in one transaction with the position that was reached."""
    started = time.perf_counter()
    fingerprint = writer.fingerprint_of(collection, reader)
    with writer.writing(collection) as connection:
        one = _Reading(writer, connection, collection, reader)
        changed = one.run()
        has_changed = any(changed) or one.since is None
        rows, version = writer.settle(connection, collection, one.relation, fingerprint, has_changed=has_changed)
        bad = one.staging.bad
        if one.since is None:
            writer.failures.replace(connection, collection.name, "raw", bad, run_id=run_id)
        else:
            writer.failures.amend(connection, collection.name, "raw", bad, one.mended(), run_id=run_id)
        unreadable = writer.count_failures(connection, collection)
    if has_changed:
        writer.analyze(one.relation)
    return RawSync(rows, *changed, unreadable, time.perf_counter() - started, version, read=True)


class _Reading:
    """One reading of the changes of a source."""

    def __init__(
        self, writer: RawWriter, connection: Connection, collection: Collection, reader: ChangesReader
    ) -> None:
        self.writer, self.connection = writer, connection
        self.collection, self.reader = collection, reader
        self.names = writer.database.names
        self.known = stored_key(connection, self.names, collection.name)
        self.since = self._position()
        self.staging: Staging
        self.relation: Relation

    def run(self) -> tuple[int, int, int]:
        key = self._key()
        self.staging = Staging(self.connection, self.collection, key)
        self.staging.create()
        self.staging.add(self.reader.changes(self.since))
        reached = self.reader.reached()
        changed = self._merge_whole(key) if self.since is None else self._merge_changes(key)
        self._keep_position(reached)
        return changed

    def mended(self) -> list[str]:
        """Return the failures of rows that read well now, or that are gone."""
        rows = self.connection.execute(
            self.writer.database.compose(
                "select f.row_key from {ops}.failures f where f.collection = %s and f.stage = 'raw'"
            ),
            (self.collection.name,),
        ).fetchall()
        failed = {str(row[0]) for row in rows}
        if not failed:
            return []
        key = plain(key_names(self.relation.key))
        bad = {row.where for row in self.staging.bad}
        read = self._row_keys(sql.SQL("select {} from pg_temp.staged").format(key))
        if self.reader.keys() is None:
            return [one for one in failed & read if one not in bad]
        there = self._row_keys(sql.SQL("select {} from pg_temp.swept").format(key))
        return [one for one in failed if one not in bad and (one in read or one not in there)]

    def _merge_whole(self, key: tuple[KeyColumn, ...]) -> tuple[int, int, int]:
        self.staging.check_unique()
        if not self.staging.count and not self.staging.bad and self._rows():
            refuse_empty(self.collection, "the query has no row", self._rows())
        self.relation = ensure_table(self.connection, self.names, self.collection, key)
        gone = NOTHING if self.known == key and self._never_deletes() else EVERYTHING
        return self.staging.merge(self.relation, gone=gone)

    def _merge_changes(self, key: tuple[KeyColumn, ...]) -> tuple[int, int, int]:
        self.relation = ensure_table(self.connection, self.names, self.collection, key)
        keys = self.reader.keys()
        gone: sql.Composable = NOTHING
        if keys is not None:
            if not self._sweep(keys) and self._rows():
                refuse_empty(self.collection, "the query has no row", self._rows())
            self._read_missing()
            gone = sql.SQL("not exists (select from pg_temp.swept s where {})").format(same(key))
        self.staging.check_unique()
        return self.staging.merge(self.relation, gone=gone)

    def _sweep(self, keys: Iterable[Key]) -> int:
        """Put the keys of all rows that are there into a temporary table; an id that stands twice is refused."""
        table = sql.SQL(", ").join(
            sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in self.relation.key
        )
        self.connection.execute(sql.SQL("create temp table swept ({}) on commit drop").format(table))
        with self.connection.cursor() as cursor, cursor.copy("copy pg_temp.swept from stdin") as copy:
            for key in keys:
                copy.write_row(key)
        self.connection.execute("analyze pg_temp.swept")
        names = plain(key_names(self.relation.key))
        repeated = self.connection.execute(
            sql.SQL("select {} from pg_temp.swept group by {} having count(*) > 1 limit 1").format(names, names)
        ).fetchone()
        if repeated:
            raise stands_twice(self.collection, repeated)
        return number(self.connection, sql.SQL("select count(*) from pg_temp.swept").format())

    def _read_missing(self) -> None:
        """Read rows that are there and not in raw although their cursor was passed: they were committed late."""
        missing = self.connection.execute(
            sql.SQL(
                "select {} from pg_temp.swept t where not exists (select from {} s where {joined}) "
                "and not exists (select from pg_temp.staged s where {joined}) "
                "and not exists (select from pg_temp.kept s where {joined})"
            ).format(plain(key_names(self.relation.key)), self.relation.table, joined=same(self.relation.key))
        ).fetchall()
        self.staging.add(self.reader.rows_of([cast(Key, tuple(row)) for row in missing]))

    def _key(self) -> tuple[KeyColumn, ...]:
        """The key of the source; of an empty one, whose type nobody can tell, the key that raw has."""
        key = self.reader.key
        if self.known == key or key_names(self.known) != key_names(key):
            return key
        if next(iter(self.reader.keys() or self.reader.rows()), None) is None:
            return self.known
        self.since = None
        return key

    def _position(self) -> str | None:
        if not is_as_declared(self.connection, self.names, self.collection):
            return None
        row = self.connection.execute(
            self.writer.database.compose(
                "select position from {ops}.source_cursors where collection = %s and scope = %s"
            ),
            (self.collection.name, self.reader.scope),
        ).fetchone()
        return str(row[0]) if row and row[0] is not None else None

    def _keep_position(self, reached: str | None) -> None:
        self.connection.execute(
            self.writer.database.compose(
                "insert into {ops}.source_cursors (collection, scope, position) values (%s, %s, %s) "
                "on conflict (collection) do update set scope = excluded.scope, position = excluded.position, "
                "read_at = now()"
            ),
            (self.collection.name, self.reader.scope, reached),
        )

    def _never_deletes(self) -> bool:
        return self.reader.keys() is None

    def _rows(self) -> int:
        if not self.known:
            return 0
        table = self.names.table("raw", self.collection.name)
        return number(self.connection, sql.SQL("select count(*) from {}").format(table))

    def _row_keys(self, query: sql.Composed) -> set[str]:
        return {row_key(cast(Key, tuple(row))) for row in self.connection.execute(query)}
