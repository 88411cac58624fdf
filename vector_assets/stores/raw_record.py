"""What is recorded of a source when it was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database


@dataclass(frozen=True, slots=True)
class RawSync:
    """What a reading of the source changed. ``version`` is a digest of the contents.

    ``partitions`` gives the version of each Dagster partition that was read, where the source has partitions.
    ``capture`` says how later changes are known, or why only by comparing all rows.
    """

    rows: int
    inserted: int
    updated: int
    deleted: int
    unreadable: int
    seconds: float
    version: str
    read: bool
    partitions: Mapping[str, str] = field(default_factory=dict)
    capture: str = "trigger"


def record_source(
    database: Database, connection: Connection, name: str, fingerprint: str | None, version: str, rows: int
) -> None:
    """Record what a source looked like, the digest of its contents and its rows."""
    connection.execute(
        database.compose(
            "insert into {ops}.collections (name, source_fingerprint, source_version, rows) "
            "values (%s, %s, %s, %s) "
            "on conflict (name) do update set source_fingerprint = excluded.source_fingerprint, "
            "source_version = excluded.source_version, rows = excluded.rows, updated_at = now()"
        ),
        (name, fingerprint, version, rows),
    )


def recorded_source(database: Database, connection: Connection, name: str) -> tuple[int, str] | None:
    """Return rows and version as they were last recorded; None before the first reading."""
    row = connection.execute(
        database.compose("select rows, source_version from {ops}.collections where name = %s"), (name,)
    ).fetchone()
    return (int(str(row[0])), str(row[1])) if row and row[0] is not None and row[1] is not None else None
