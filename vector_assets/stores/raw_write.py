"""What every way of reading a source into ``raw`` shares: its transaction, and what is recorded of it."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from psycopg import sql

from vector_assets.records import SourceReader
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.failures import FailureStore
from vector_assets.stores.raw_record import RawSync, record_source
from vector_assets.stores.raw_tables import measure
from vector_assets.stores.relation import Relation


class RawWriter:
    """Opens readings and records what they found."""

    def __init__(self, database: Database) -> None:
        """Keep the database; connections are opened per call."""
        self.database = database
        self.failures = FailureStore(database)

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

    @contextmanager
    def writing(self, collection: Collection) -> Iterator[Connection]:
        """Open the transaction of one reading; a second one of the same collection waits for the first to end."""
        with self.database.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 1))", (f"raw/{collection.name}",))
            yield connection

    def record(
        self, connection: Connection, collection: Collection, relation: Relation, fingerprint: str | None
    ) -> tuple[int, str]:
        """Count and digest the rows, and record that with what the source looked like when it was read."""
        rows, version = measure(connection, relation, list(collection.fields))
        record_source(self.database, connection, collection.name, fingerprint, version, rows)
        return rows, version

    def analyze(self, relation: Relation) -> None:
        """Tell the planner what a reading has changed."""
        with self.database.connect(autocommit=True) as connection:
            connection.execute(sql.SQL("analyze {}").format(relation.table))

    def record_unchanged(
        self, connection: Connection, collection: Collection, fingerprint: str | None
    ) -> tuple[int, str | None]:
        """Record what the source looks like where its rows are as they were; return their count and digest.

        The digest is None when the rows were never measured, or changed since.
        """
        row = connection.execute(
            self.database.compose(
                "update {ops}.collections set source_fingerprint = %s, updated_at = now() where name = %s "
                "returning rows, source_version"
            ),
            (fingerprint, collection.name),
        ).fetchone()
        if row is None or row[1] is None:
            return 0, None
        return int(str(row[0])), str(row[1])

    def settle(
        self,
        connection: Connection,
        collection: Collection,
        relation: Relation,
        fingerprint: str | None,
        *,
        has_changed: bool,
    ) -> tuple[int, str]:
        """Record a reading; the rows are counted and digested only where they are not known to be as they were."""
        if not has_changed:
            rows, version = self.record_unchanged(connection, collection, fingerprint)
            if version is not None:
                return rows, version
        return self.record(connection, collection, relation, fingerprint)

    def forget_version(self, connection: Connection, collection: Collection) -> None:
        """Say that the rows are no longer those whose digest is recorded."""
        connection.execute(
            self.database.compose("update {ops}.collections set source_version = null where name = %s"),
            (collection.name,),
        )

    def count_failures(self, connection: Connection, collection: Collection) -> int:
        """Return how many rows of the source are set aside."""
        row = connection.execute(
            self.database.compose("select count(*) from {ops}.failures where collection = %s and stage = 'raw'"),
            (collection.name,),
        ).fetchone()
        assert row is not None
        return int(str(row[0]))

    def unread(
        self, connection: Connection, collection: Collection, fingerprint: str | None, started: float
    ) -> RawSync:
        """Return what the last reading said, of a source that looks as it did; ``fingerprint`` None keeps the old."""
        row = connection.execute(
            self.database.compose(
                "update {ops}.collections set source_fingerprint = coalesce(%s, source_fingerprint), "
                "updated_at = now() where name = %s returning rows, source_version"
            ),
            (fingerprint, collection.name),
        ).fetchone()
        unreadable = self.count_failures(connection, collection)
        assert row is not None, "it was read before"
        seconds = time.perf_counter() - started
        return RawSync(int(str(row[0])), 0, 0, 0, unreadable, seconds, str(row[1]), read=False)
