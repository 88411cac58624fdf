"""What could not be read or encoded, kept by name until it is mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from psycopg import sql

from vector_assets.records import BadRow, Key
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database


@dataclass(frozen=True, slots=True)
class Failure:
    """One row that is set aside: at which stage, which row, why."""

    stage: str
    row_key: str
    error: str
    attempts: int
    first_at: datetime
    last_at: datetime


class FailureStore:
    """Reads and writes ``ops.failures``."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def mark(self, connection: Connection, rows: sql.Identifier, key_names: Sequence[str]) -> tuple[Key, ...]:
        """Make the failed rows of a generation's table differ from their source, so that the next sync takes them.

        No row has the empty digest. Returns the keys. Without this a failed row is taken again only when what is read
        of it, or an encoder, has changed.
        """
        keys = sql.SQL(", ").join(sql.Identifier(name) for name in key_names)
        marked = connection.execute(
            sql.SQL("update {} set row_digest = '' where state = 'failed' returning {}").format(rows, keys)
        )
        return tuple(cast(Key, row) for row in marked.fetchall())

    def list(self, collection: str, *, limit: int = 100) -> tuple[Failure, ...]:
        """Return failures, the newest first."""
        with self.database.connect() as connection:
            rows = connection.execute(
                self.database.compose(
                    "select stage, row_key, error, attempts, first_at, last_at from {ops}.failures "
                    "where collection = %s order by last_at desc, row_key limit %s"
                ),
                (collection, limit),
            ).fetchall()
        return tuple(
            Failure(str(stage), str(key), str(error), int(str(attempts)), cast(datetime, first), cast(datetime, last))
            for stage, key, error, attempts, first, last in rows
        )

    def count(self, collection: str, stage: str | None = None) -> int:
        """Return how many rows are set aside."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select count(*) from {ops}.failures where collection = %s and stage = coalesce(%s, stage)"
                ),
                (collection, stage),
            ).fetchone()
        return int(str(row[0])) if row else 0

    def keys(self, collection: str, stage: str) -> frozenset[str]:
        """Return the keys of all rows that a stage has set aside."""
        with self.database.connect() as connection:
            rows = connection.execute(
                self.database.compose("select row_key from {ops}.failures where collection = %s and stage = %s"),
                (collection, stage),
            ).fetchall()
        return frozenset(str(row[0]) for row in rows)

    def settle(
        self, collection: str, stage: str, bad: Sequence[BadRow], good: Sequence[str], *, run_id: str | None
    ) -> None:
        """Record failures and forget mended rows, in a transaction of its own: a failing batch cannot undo it."""
        with self.database.connect() as connection:
            self.amend(connection, collection, stage, bad, good, run_id=run_id)

    def amend(
        self,
        connection: Connection,
        collection: str,
        stage: str,
        bad: Sequence[BadRow],
        good: Sequence[str],
        *,
        run_id: str | None,
    ) -> None:
        """Do the same in the caller's transaction, where what was read is stored or not at all."""
        if good:
            connection.execute(
                self.database.compose(
                    "delete from {ops}.failures where collection = %s and stage = %s and row_key = any(%s)"
                ),
                (collection, stage, list(good)),
            )
        self._put(connection, collection, stage, bad, run_id)

    def replace(
        self, connection: Connection, collection: str, stage: str, bad: Sequence[BadRow], *, run_id: str | None
    ) -> None:
        """Make the failures of a stage exactly these: what reads well again is no failure any more."""
        connection.execute(
            self.database.compose(
                "delete from {ops}.failures where collection = %s and stage = %s and not row_key = any(%s)"
            ),
            (collection, stage, [row.where for row in bad]),
        )
        self._put(connection, collection, stage, bad, run_id)

    def _put(
        self, connection: Connection, collection: str, stage: str, bad: Sequence[BadRow], run_id: str | None
    ) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(
                self.database.compose(
                    "insert into {ops}.failures (collection, stage, row_key, error, content, run_id) "
                    "values (%s, %s, %s, %s, %s, %s) on conflict (collection, stage, row_key) do update set "
                    "error = excluded.error, content = excluded.content, run_id = excluded.run_id, "
                    "attempts = {ops}.failures.attempts + 1, last_at = now()"
                ),
                [(collection, stage, row.where, row.error, row.content[:500], run_id) for row in bad],
            )
