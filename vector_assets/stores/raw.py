"""Rows of a copied source in ``raw``: loaded whole, changed only where they differ."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import cast

from psycopg import sql

from vector_assets.errors import NotFound, SourceError
from vector_assets.records import BadRow, KeyColumn, SourceReader, Value
from vector_assets.spec import POSTGRES_TYPES, Collection, FieldType, PostgresSource
from vector_assets.stores.capture import CaptureStore
from vector_assets.stores.catalogue import measure_rows, primary_key, table_columns
from vector_assets.stores.database import Connection, Database
from vector_assets.stores.failures import FailureStore
from vector_assets.stores.in_place import InPlaceStore, table_in_place
from vector_assets.stores.raw_record import RawSync, record_source
from vector_assets.stores.relation import Relation, columns


class RawStore:
    """Reads and writes the rows of collections."""

    def __init__(self, database: Database) -> None:
        """Keep the database; connections are opened per call."""
        self.database = database
        self.failures = FailureStore(database)
        self.captures = CaptureStore(database)

    def relation(self, collection: Collection) -> Relation:
        """Return where the rows are. Raises NotFound before the first load, SourceError for a table in place."""
        with self.database.connect() as connection:
            if isinstance(collection.source, PostgresSource):
                return table_in_place(connection, collection, collection.source)
            key = self._stored_key(connection, collection)
            if not key:
                raise NotFound(
                    f"collection {collection.name} has no rows yet; run vector-assets materialize {collection.name}"
                )
            return self._copied(collection, key)

    def count(self, collection: Collection) -> int:
        """Return how many rows the source has now, as Postgres sees it."""
        relation = self.relation(collection)
        with self.database.connect() as connection:
            return _int(connection, sql.SQL("select count(*) from {}").format(relation.table))

    def sample(self, collection: Collection, count: int) -> list[dict[str, Value]]:
        """Return some rows by field, chosen by the hash of their key."""
        relation = self.relation(collection)
        fields = list(collection.fields)
        query = sql.SQL("select {} from {} r order by hashtextextended(json_build_array({})::text, 0) limit {}").format(
            columns(fields, "r"), relation.table, relation.source_key("r"), sql.Literal(count)
        )
        with self.database.connect() as connection:
            rows = connection.execute(query).fetchall()
        return [dict(zip(fields, cast(tuple[Value, ...], row), strict=True)) for row in rows]

    def fingerprint(self, collection: str) -> str | None:
        """Return what the source looked like when it was last read."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose("select source_fingerprint from {ops}.collections where name = %s"), (collection,)
            ).fetchone()
        return str(row[0]) if row and row[0] is not None else None

    def fingerprint_of(self, collection: Collection, reader: SourceReader) -> str:
        """Return what the source looks like now, with what is read of it."""
        fields = hashlib.sha256(repr(sorted(collection.fields.items())).encode()).hexdigest()[:12]
        return f"{reader.fingerprint()} {fields}"

    def version(self, collection: str) -> str | None:
        """Return the digest of the contents as they were last read."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose("select source_version from {ops}.collections where name = %s"), (collection,)
            ).fetchone()
        return str(row[0]) if row and row[0] is not None else None

    def look(self, collection: Collection) -> str:
        """Return the version of a table in place as it is now, without recording it."""
        return InPlaceStore(self.database).look(collection, self.relation(collection))

    def observe(self, collection: Collection) -> RawSync:
        """Count a table in place and record its version; nothing is copied."""
        return InPlaceStore(self.database).observe(collection, self.relation(collection))

    def sync(self, collection: Collection, reader: SourceReader, *, run_id: str | None = None) -> RawSync:
        """Make ``raw`` equal to the source. One transaction: a failed reading changes nothing.

        Unreadable rows are set aside in ``ops.failures``; the rest goes on. When the source looks as it did and the
        table has the declared columns, it is not read at all.
        """
        started = time.perf_counter()
        fingerprint = self.fingerprint_of(collection, reader)
        if self.fingerprint(collection.name) == fingerprint:
            return self._unchanged(collection, started)
        fields = list(collection.fields)
        with self.database.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", (f"raw/{collection.name}",))
            relation = self._ensure_table(connection, collection, reader.key)
            bad = self._stage(connection, collection, reader)
            inserted, updated, deleted = self._merge(connection, relation, fields)
            connection.execute("drop table pg_temp.staged")
            rows, version = measure_rows(connection, relation, fields)
            record_source(self.database, connection, collection.name, fingerprint, version, rows)
            self.failures.replace(connection, collection.name, "raw", bad, run_id=run_id)
        self.captures.ensure(relation)
        with self.database.connect(autocommit=True) as connection:
            connection.execute(sql.SQL("analyze {}").format(relation.table))
        return RawSync(rows, inserted, updated, deleted, len(bad), time.perf_counter() - started, version, read=True)

    def _unchanged(self, collection: Collection, started: float) -> RawSync:
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select rows, source_version, (select count(*) from {ops}.failures f "
                    "where f.collection = c.name and f.stage = 'raw') from {ops}.collections c where name = %s"
                ),
                (collection.name,),
            ).fetchone()
        assert row is not None
        seconds = time.perf_counter() - started
        return RawSync(int(str(row[0])), 0, 0, 0, int(str(row[2])), seconds, str(row[1]), read=False)

    def _stage(self, connection: Connection, collection: Collection, reader: SourceReader) -> list[BadRow]:
        """Stream the source into a temporary table; return what could not be read."""
        names = [column.name for column in reader.key] + [f for f in collection.fields if f not in _names(reader.key)]
        wanted = [i for i, f in enumerate(collection.fields) if f not in _names(reader.key)]
        types = {column.name: column.type for column in reader.key} | _field_types(collection)
        connection.execute(
            sql.SQL("create temp table staged ({})").format(
                sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(types[n])) for n in names)
            )
        )
        bad: list[BadRow] = []
        with (
            connection.cursor() as cursor,
            cursor.copy(sql.SQL("copy staged ({}) from stdin").format(_plain(names))) as copy,
        ):
            for row in reader.rows():
                if isinstance(row, BadRow):
                    bad.append(row)
                else:
                    copy.write_row([*row.key, *(row.values[i] for i in wanted)])
        key = _plain(_names(reader.key))
        repeated = connection.execute(
            sql.SQL("select {} from staged group by {} having count(*) > 1 limit 1").format(key, key)
        ).fetchone()
        if repeated:
            raise SourceError(f"{collection.name}: id {repeated[0]!r} stands twice in the source; ids must be unique")
        connection.execute("analyze pg_temp.staged")
        return bad

    def _merge(self, connection: Connection, relation: Relation, fields: Sequence[str]) -> tuple[int, int, int]:
        key = _names(relation.key)
        rest = [name for name in fields if name not in key]
        same = sql.SQL(" and ").join(
            sql.SQL("t.{} = s.{}").format(sql.Identifier(name), sql.Identifier(name)) for name in key
        )
        deleted = connection.execute(
            sql.SQL("delete from {} t where not exists (select from pg_temp.staged s where {})").format(
                relation.table, same
            )
        ).rowcount
        updated = 0
        if rest:
            updated = connection.execute(
                sql.SQL("update {} t set {} from pg_temp.staged s where {} and ({}) is distinct from ({})").format(
                    relation.table,
                    sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in rest),
                    same,
                    sql.SQL("row({})").format(columns(rest, "t")),
                    sql.SQL("row({})").format(columns(rest, "s")),
                )
            ).rowcount
        inserted = connection.execute(
            sql.SQL("insert into {} ({}) select {} from pg_temp.staged on conflict do nothing").format(
                relation.table, _plain([*key, *rest]), _plain([*key, *rest])
            )
        ).rowcount
        return inserted, updated, deleted

    def _ensure_table(self, connection: Connection, collection: Collection, key: tuple[KeyColumn, ...]) -> Relation:
        """Create the raw table, or give it the columns that the declaration has and it has not."""
        table = self.database.names.table("raw", collection.name)
        types = {column.name: column.type for column in key} | {
            name: kind for name, kind in _field_types(collection).items() if name not in _names(key)
        }
        present = table_columns(connection, self.database.names.prefix + "raw", collection.name)
        if present and self._stored_key(connection, collection) != key:
            connection.execute(sql.SQL("drop table {} cascade").format(table))
            present = {}
        if not present:
            connection.execute(
                sql.SQL("create table {} ({}, primary key ({}))").format(
                    table,
                    sql.SQL(", ").join(
                        sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(t)) for n, t in types.items()
                    ),
                    _plain(_names(key)),
                )
            )
            return self._copied(collection, key)
        for name, kind in types.items():
            if name in present and present[name] != kind:
                # The view over the rows names this column; the index stage makes it anew.
                connection.execute(sql.SQL("alter table {} drop column {} cascade").format(table, sql.Identifier(name)))
            if present.get(name) != kind:
                connection.execute(
                    sql.SQL("alter table {} add column {} {}").format(table, sql.Identifier(name), sql.SQL(kind))
                )
        return self._copied(collection, key)

    def _copied(self, collection: Collection, key: tuple[KeyColumn, ...]) -> Relation:
        zoned = frozenset(name for name, kind in collection.fields.items() if kind == "datetime")
        return Relation(self.database.names.table("raw", collection.name), key, zoned)

    def _stored_key(self, connection: Connection, collection: Collection) -> tuple[KeyColumn, ...]:
        return primary_key(connection, self.database.names.prefix + "raw", collection.name)


def _field_types(collection: Collection) -> dict[str, str]:
    kinds: dict[str, FieldType] = dict(collection.fields)
    return {name: POSTGRES_TYPES[kind] for name, kind in kinds.items()}


def _names(key: Sequence[KeyColumn]) -> list[str]:
    return [column.name for column in key]


def _plain(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _int(connection: Connection, query: sql.Composed) -> int:
    row = connection.execute(query).fetchone()
    assert row is not None
    return int(str(row[0]))
