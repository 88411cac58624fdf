"""Messages of a queue, applied to ``raw`` batch by batch: committed first, acknowledged after.

A message that comes again finds its sequence recorded and changes nothing. An older one never overwrites a newer one.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg import sql

from vector_assets.records import BadRow, Key, RawRow
from vector_assets.source.keys import row_key
from vector_assets.source.messages import Message, RowChange
from vector_assets.source.queue import QueueReader
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.raw_merge import Staging, same
from vector_assets.stores.raw_record import RawSync
from vector_assets.stores.raw_tables import ensure_table, key_names, plain
from vector_assets.stores.raw_write import RawWriter
from vector_assets.stores.relation import Relation


@dataclass(slots=True)
class _Batch:
    """What the messages of one batch come to: the last change of each row."""

    last: dict[Key, RowChange] = field(default_factory=dict)
    bad: dict[str, BadRow] = field(default_factory=dict)


def drain_queue(
    writer: RawWriter, collection: Collection, reader: QueueReader, *, run_id: str | None = None
) -> RawSync:
    """Apply what waits in the queue. Dying between commit and acknowledgement costs reading a batch again, no more."""
    started = time.perf_counter()
    inserted = updated = deleted = 0
    queue = reader.open(writer.database.url.libpq)
    try:
        while messages := queue.take(reader.source.batch):
            with writer.writing(collection) as connection:
                one = _apply(writer, connection, collection, reader, messages, run_id)
            queue.acknowledge(messages)
            inserted, updated, deleted = inserted + one[0], updated + one[1], deleted + one[2]
            if len(messages) < reader.source.batch:
                break
    finally:
        queue.close()
    with writer.writing(collection) as connection:
        relation = ensure_table(connection, writer.database.names, collection, reader.key)
        rows, version = writer.settle(connection, collection, relation, None, has_changed=False)
        unreadable = writer.count_failures(connection, collection)
    if inserted or updated or deleted:
        writer.analyze(relation)
    seconds = time.perf_counter() - started
    return RawSync(rows, inserted, updated, deleted, unreadable, seconds, version, read=True)


def _apply(
    writer: RawWriter,
    connection: Connection,
    collection: Collection,
    reader: QueueReader,
    messages: Sequence[Message],
    run_id: str | None,
) -> tuple[int, int, int]:
    """Apply one batch in the caller's transaction; return how many rows were inserted, updated and deleted."""
    parsed = [reader.parse(message) for message in messages]
    keys = {row_key(change.key) for change in parsed if isinstance(change, RowChange)}
    applied = _sequences(writer, connection, collection, keys)
    batch = _effect(parsed, applied)
    relation = ensure_table(connection, writer.database.names, collection, reader.key)
    staging = Staging(connection, collection, reader.key)
    staging.create()
    staging.add(change.row for change in batch.last.values() if isinstance(change.row, RawRow))
    left = [change.key for change in batch.last.values() if change.row is None]
    changed = staging.merge(relation, gone=_left(connection, relation, left))
    _record_sequences(writer, connection, collection, list(batch.last.values()))
    mended = [row_key(key) for key in batch.last]
    writer.failures.amend(connection, collection.name, "raw", list(batch.bad.values()), mended, run_id=run_id)
    if any(changed):
        # Measured when the queue is empty; until then nobody may take the old digest for that of these rows.
        writer.forget_version(connection, collection)
    return changed


def _effect(parsed: Sequence[RowChange | BadRow], applied: dict[str, int]) -> _Batch:
    """Return the last change of each row, in the order of sequences, or of delivery where there are none."""
    batch = _Batch()
    for change in parsed:
        if isinstance(change, BadRow):
            batch.bad[change.where] = change
            continue
        key = row_key(change.key)
        if change.sequence is not None:
            if change.sequence <= applied.get(key, change.sequence - 1):
                continue
            applied[key] = change.sequence
        batch.last[change.key] = change
        batch.bad.pop(key, None)
    return batch


def _left(connection: Connection, relation: Relation, keys: Sequence[Key]) -> sql.Composable:
    connection.execute(
        sql.SQL("create temp table departed on commit drop as select {} from {} limit 0").format(
            plain(key_names(relation.key)), relation.table
        )
    )
    with connection.cursor() as cursor, cursor.copy("copy pg_temp.departed from stdin") as copy:
        for key in keys:
            copy.write_row(key)
    return sql.SQL("exists (select from pg_temp.departed s where {})").format(same(relation.key))


def _sequences(writer: RawWriter, connection: Connection, collection: Collection, keys: set[str]) -> dict[str, int]:
    rows = connection.execute(
        writer.database.compose(
            "select row_key, sequence from {ops}.queue_keys where collection = %s and row_key = any(%s)"
        ),
        (collection.name, list(keys)),
    ).fetchall()
    return {str(key): int(str(sequence)) for key, sequence in rows}


def _record_sequences(
    writer: RawWriter, connection: Connection, collection: Collection, changes: Sequence[RowChange]
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            writer.database.compose(
                "insert into {ops}.queue_keys (collection, row_key, sequence) values (%s, %s, %s) "
                "on conflict (collection, row_key) do update set sequence = excluded.sequence, applied_at = now()"
            ),
            [(collection.name, row_key(c.key), c.sequence) for c in changes if c.sequence is not None],
        )
