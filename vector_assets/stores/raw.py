"""Rows of a copied source in ``raw``: loaded whole, changed only where they differ."""

from __future__ import annotations

import time
from collections.abc import Sequence

from psycopg import sql

from vector_assets.errors import NotFound, SourceError
from vector_assets.records import SourceReader
from vector_assets.source.queue import QueueReader
from vector_assets.spec import Collection, PostgresSource
from vector_assets.stores.capture import CaptureStore
from vector_assets.stores.in_place import InPlaceStore, table_in_place
from vector_assets.stores.raw_changes import gives_changes, sync_changes
from vector_assets.stores.raw_merge import Staging
from vector_assets.stores.raw_parts import is_parted, sync_parts
from vector_assets.stores.raw_queue import drain_queue
from vector_assets.stores.raw_record import RawSync
from vector_assets.stores.raw_tables import (
    copied_relation,
    ensure_table,
    number,
    stored_key,
)
from vector_assets.stores.raw_write import RawWriter
from vector_assets.stores.relation import Relation


class RawStore(RawWriter):
    """Reads and writes the rows of collections."""

    def relation(self, collection: Collection) -> Relation:
        """Return where the rows are. Raises NotFound before the first load, SourceError for a table in place."""
        with self.database.connect() as connection:
            if isinstance(collection.source, PostgresSource):
                return table_in_place(connection, collection, collection.source)
            key = stored_key(connection, self.database.names, collection.name)
            if not key:
                raise NotFound(
                    f"collection {collection.name} has no rows yet; run vector-assets materialize {collection.name}"
                )
            return copied_relation(self.database.names, collection, key)

    def count(self, collection: Collection) -> int:
        """Return how many rows the source has now, as Postgres sees it."""
        relation = self.relation(collection)
        with self.database.connect() as connection:
            return number(connection, sql.SQL("select count(*) from {}").format(relation.table))

    def look(self, collection: Collection) -> str:
        """Return the version of a table in place as it is now, without recording it."""
        return InPlaceStore(self.database).look(collection, self.relation(collection))

    def observe(self, collection: Collection) -> RawSync:
        """Count a table in place and record its version; nothing is copied."""
        return InPlaceStore(self.database).observe(collection, self.relation(collection))

    def sync(
        self,
        collection: Collection,
        reader: SourceReader,
        *,
        partitions: Sequence[str] | None = None,
        run_id: str | None = None,
    ) -> RawSync:
        """Make ``raw`` equal to the source. One transaction: a failed reading changes nothing.

        Unreadable rows are set aside in ``ops.failures``; the rest goes on. When the source looks as it did and the
        table has the declared columns, it is not read at all. Sources that can say what changed are asked that.
        ``partitions`` are read again whether or not they changed, and nothing else is looked at.
        """
        done = self._sync(collection, reader, partitions, run_id)
        # After a first load, so that the load does not pay for it: nobody has read this table yet.
        CaptureStore(self.database).ensure(self.relation(collection))
        return done

    def _sync(
        self, collection: Collection, reader: SourceReader, partitions: Sequence[str] | None, run_id: str | None
    ) -> RawSync:
        if isinstance(reader, QueueReader):
            return drain_queue(self, collection, reader, run_id=run_id)
        if is_parted(reader):
            return sync_parts(self, collection, reader, partitions=partitions, run_id=run_id)
        if partitions is not None:
            raise SourceError(f"{collection.name}: its source has no partitions; expected a file source with partition")
        if gives_changes(reader):
            return sync_changes(self, collection, reader, run_id=run_id)
        return self._sync_whole(collection, reader, run_id)

    def _sync_whole(self, collection: Collection, reader: SourceReader, run_id: str | None) -> RawSync:
        started = time.perf_counter()
        fingerprint = self.fingerprint_of(collection, reader)
        if self.fingerprint(collection.name) == fingerprint:
            with self.database.connect() as connection:
                return self.unread(connection, collection, fingerprint, started)
        with self.writing(collection) as connection:
            staging = Staging(connection, collection, reader.key)
            staging.create()
            staging.add(reader.rows())
            staging.check_unique()
            relation = ensure_table(connection, self.database.names, collection, reader.key)
            changed = staging.merge(relation)
            rows, version = self.record(connection, collection, relation, fingerprint)
            self.failures.replace(connection, collection.name, "raw", staging.bad, run_id=run_id)
        self.analyze(relation)
        return RawSync(rows, *changed, len(staging.bad), time.perf_counter() - started, version, read=True)
