"""How far each reader of a table's changes has come."""

from __future__ import annotations

from dataclasses import dataclass

from vector_assets.stores.capture import Capture
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database

# A reader that has not come for so long compares all rows when it comes again; it does not keep changes for ever.
FORGOTTEN_AFTER = "7 days"


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a reader had seen of a table when it was last equal to it. ``seen`` is a snapshot (pg_snapshot)."""

    capture: int | None
    fingerprint: str
    seen: str
    watermark: str | None


class CursorStore:
    """Reads and moves ``ops.cursors``, and prunes what every reader has seen."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def get(self, connection: Connection, collection: str, reader: str) -> Cursor | None:
        """Return a reader's cursor; None before it was first equal to its source.

        A cursor from the server's future is one of another server, restored here: it is None as well.
        """
        row = connection.execute(
            self.database.compose(
                "select capture, fingerprint, seen::text, watermark from {ops}.cursors "
                "where collection = %s and reader = %s "
                "and pg_snapshot_xmax(seen) <= pg_snapshot_xmax(pg_current_snapshot())"
            ),
            (collection, reader),
        ).fetchone()
        if row is None:
            return None
        capture, fingerprint, seen, watermark = row
        return Cursor(
            int(str(capture)) if capture is not None else None,
            str(fingerprint),
            str(seen),
            str(watermark) if watermark is not None else None,
        )

    def now(self, connection: Connection, capture: Capture) -> Cursor:
        """Return the cursor of a reader that is equal to the source as the caller's snapshot sees it."""
        row = connection.execute("select pg_current_snapshot()::text").fetchone()
        assert row is not None
        return Cursor(capture.number, capture.fingerprint, str(row[0]), None)

    def move(self, connection: Connection, collection: str, reader: str, cursor: Cursor) -> None:
        """Record that a reader is equal to what ``cursor`` saw, then drop changes that all readers have seen."""
        connection.execute(
            self.database.compose(
                "insert into {ops}.cursors (collection, reader, capture, fingerprint, seen, watermark) "
                "values (%s, %s, %s, %s, %s::pg_snapshot, %s) on conflict (collection, reader) do update set "
                "capture = excluded.capture, fingerprint = excluded.fingerprint, seen = excluded.seen, "
                "watermark = excluded.watermark, synced_at = now()"
            ),
            (collection, reader, cursor.capture, cursor.fingerprint, cursor.seen, cursor.watermark),
        )
        if cursor.capture is not None:
            self._prune(connection, cursor.capture)

    def forget(self, connection: Connection, collection: str, reader: str) -> None:
        """Drop a reader's cursor: it is gone, or has to compare all rows when it comes again."""
        connection.execute(
            self.database.compose("delete from {ops}.cursors where collection = %s and reader = %s"),
            (collection, reader),
        )

    def _prune(self, connection: Connection, capture: int) -> None:
        connection.execute(
            self.database.compose("delete from {ops}.cursors where capture = %s and synced_at < now() - %s::interval"),
            (capture, FORGOTTEN_AFTER),
        )
        connection.execute(
            self.database.compose(
                "delete from {ops}.changes where capture = %s and xid < "
                "(select min(pg_snapshot_xmin(seen)::text::bigint)::text::xid8 from {ops}.cursors where capture = %s)"
            ),
            (capture, capture),
        )
