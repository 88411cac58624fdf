"""The last moment at which each generation was known to hold every row as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import TypeVar, cast

from vector_assets.records import Generation
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database

Target = TypeVar("Target")


class SyncTimes:
    """Reads and writes ``ops.syncs``, by the clock of the database."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def now(self) -> datetime:
        """Return the database's time."""
        with self.database.connect() as connection:
            return _clock(connection)

    def keep(self, generation: Generation, moment: datetime) -> None:
        """Record that at this moment nothing was pending; an earlier moment than the known one says nothing new."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "insert into {ops}.syncs as s (collection, generation, true_at) values (%s, %s, %s) "
                    "on conflict (collection, generation) do update set true_at = excluded.true_at "
                    "where s.true_at < excluded.true_at"
                ),
                (generation.collection, generation.number, moment),
            )

    def waited(self, generation: Generation) -> float | None:
        """Return the seconds since the last such moment, or since the generation was made; None when it is unknown."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select extract(epoch from clock_timestamp() - coalesce(s.true_at, g.created_at))::float8 "
                    "from {ops}.generations g left join {ops}.syncs s using (collection, generation) "
                    "where collection = %s and generation = %s"
                ),
                (generation.collection, generation.number),
            ).fetchone()
        return max(float(cast(float, row[0])), 0.0) if row else None

    @contextmanager
    def kept(self, generation: Generation, sync: AbstractContextManager[Target]) -> Iterator[Target]:
        """Run a sync; when it ends well, its start is such a moment: what stood then is settled."""
        started = self.now()
        with sync as target:
            yield target
        self.keep(generation, started)


def _clock(connection: Connection) -> datetime:
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    return cast(datetime, row[0])
