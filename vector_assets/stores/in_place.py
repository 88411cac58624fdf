"""Rows in the user's own table: never copied or changed, only looked at."""

from __future__ import annotations

import hashlib
import time

from psycopg import sql

from vector_assets.errors import SourceError
from vector_assets.spec import Collection, PostgresSource
from vector_assets.spec.base import RESERVED_KEYS
from vector_assets.spec.duration import to_timedelta
from vector_assets.stores.connections import Connection
from vector_assets.stores.cursors import Cursor
from vector_assets.stores.database import Database
from vector_assets.stores.difference import DifferenceStore
from vector_assets.stores.generations import GenerationStore
from vector_assets.stores.policies import is_secured
from vector_assets.stores.raw_record import RawSync, record_source, recorded_source
from vector_assets.stores.raw_tables import image_fields, measure, primary_key, table_columns
from vector_assets.stores.relation import Relation

READER = "raw"
STANDING = ("building", "candidate", "live")


class InPlaceStore:
    """Says what a table in place holds, at the cost of what changed where changes are captured."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database
        self.differences = DifferenceStore(database)

    def look(self, collection: Collection, relation: Relation) -> str:
        """Return the version of the table as it is now, without recording it."""
        with self.database.connect(autocommit=True) as connection:
            return self._version(connection, collection, relation)[1]

    def observe(self, collection: Collection, relation: Relation) -> RawSync:
        """Count the table and record its version; make the capture of its changes what is declared.

        With captured changes only keys that were written are compared with the newest generation that stands:
        the version is another one exactly when a row that is read differs since the table was last observed.
        """
        started = time.perf_counter()
        capture = self.differences.captures.ensure(relation)
        with self.database.connect(autocommit=True) as connection:
            connection.execute("select pg_advisory_lock(hashtextextended(%s, 1))", (f"raw/{collection.name}",))
            rows, version, cursor = self._version(connection, collection, relation)
            with connection.transaction():
                record_source(self.database, connection, collection.name, None, version, rows)
                self.differences.cursors.move(connection, collection.name, READER, cursor)
        seconds = time.perf_counter() - started
        said = "trigger" if capture.number is not None else capture.reason
        return RawSync(rows, 0, 0, 0, 0, seconds, version, read=True, capture=said)

    def _version(self, connection: Connection, collection: Collection, relation: Relation) -> tuple[int, str, Cursor]:
        fields = tuple(collection.fields)
        standing = (g for g in GenerationStore(self.database).list(collection.name) if g.state in STANDING)
        generation = next(standing, None)
        before = recorded_source(self.database, connection, collection.name)
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read")
            mode, cursor = self.differences.touch(connection, collection.name, READER, relation, fields)
            if mode == "all" or before is None or generation is None:
                rows, version = measure(connection, relation, list(fields))
                return rows, version, cursor
            table = self.database.names.table("embedding", generation.table + "_rows")
            read = [*(field for part in generation.parts for field in part.fields), *generation.filters]
            self.differences.compare(connection, relation, table, tuple(read), mode)
            row = connection.execute(
                sql.SQL(
                    "select (select coalesce(bit_xor(hashtextextended(row({key}, {digest})::text, 0)), 0) "
                    "from pg_temp.work w join {source} r on {same}), "
                    "(select coalesce(bit_xor(hashtextextended(row({gone})::text, 7)), 0) from pg_temp.gone g), "
                    "(select count(*) from pg_temp.work) + (select count(*) from pg_temp.gone)"
                ).format(
                    key=relation.source_key("r"),
                    digest=relation.digest(read, "r"),
                    source=relation.table,
                    same=relation.same("r", "w"),
                    gone=relation.stored_key("g"),
                )
            ).fetchone()
            assert row is not None
            if not row[2]:
                return *before, cursor
            counted = connection.execute(sql.SQL("select count(*) from {}").format(relation.table)).fetchone()
            assert counted is not None
        rows = int(str(counted[0]))
        chain = hashlib.sha256(f"{before[1]} {row[0]} {row[1]} {row[2]}".encode()).hexdigest()[:32]
        return rows, f"{rows}-{chain}", cursor


def table_in_place(connection: Connection, collection: Collection, source: PostgresSource) -> Relation:
    """Return the table that a collection names; raises SourceError where it cannot serve."""
    schema, _, table = source.table.rpartition(".")
    schema = schema or "public"
    shown = f"collection {collection.name}: table {schema}.{table}"
    present = table_columns(connection, schema, table)
    if not present:
        raise SourceError(f"{shown} does not exist; correct source.table")
    wanted = [*collection.fields, *([source.watermark] if source.watermark else [])]
    missing = [field for field in wanted if field not in present]
    if missing:
        raise SourceError(f"{shown} has no column {missing[0]} (it has {', '.join(present)})")
    if source.watermark and not present[source.watermark].startswith(("timestamp", "date")):
        raise SourceError(
            f"{shown}: watermark {source.watermark} is {present[source.watermark]}; expected a date or timestamp, "
            "from which overlap can be taken, or capture: trigger or scan"
        )
    images = image_fields(collection)
    for field in sorted(images):
        if present[field] != "bytea":
            raise SourceError(
                f"{shown}: {field} is {present[field]}; an image is a column of type bytea in a table in place. Paths "
                "and URLs of images are read from files only"
            )
    named = sql.Identifier(schema, table)
    secured = is_secured(connection, named, shown)
    if secured and collection.filters:
        raise SourceError(
            f"{shown} has row-level security, so none of its columns is copied beside the vectors; leave out filters: "
            "(a search filters by every field all the same)"
        )
    if secured and collection.lexical:
        raise SourceError(
            f"{shown} has row-level security, and the statistics of BM25 would tell of rows that a reader may not see; "
            "leave out lexical:"
        )
    key = primary_key(connection, schema, table)
    if not key:
        raise SourceError(f"{shown} has no primary key; add one, so that rows have names")
    reserved = next((column.name for column in key if column.name in RESERVED_KEYS), None)
    if reserved:
        raise SourceError(
            f"collection {collection.name}: the primary key column {reserved} of {schema}.{table} has the name of "
            "an argument or result of search; rename it"
        )
    zoned = frozenset(n for n, kind in present.items() if kind.startswith("timestamp") and "with time" in kind)
    overlap = to_timedelta(source.overlap)
    watermark = source.watermark or ""
    return Relation(named, key, zoned, source.capture, watermark, overlap, images, secured=secured)
