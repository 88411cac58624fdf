"""Failed rows, taken again on a person's word."""

from __future__ import annotations

from collections.abc import Collection as Several
from dataclasses import dataclass

from vector_assets.errors import NotFound
from vector_assets.records import Key
from vector_assets.source.keys import row_key
from vector_assets.spec import QueueSource
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.connections import Connection

UNRETIRED = ("building", "candidate", "live")


@dataclass(frozen=True, slots=True)
class Retried:
    """What the next run takes again: failed rows, and unreadable rows of a source that is read anew.

    ``lost`` counts messages of a queue that could not be read: they were taken out of it, and only who sent them can
    send them again.
    """

    rows: int
    unreadable: int
    lost: int = 0


def retry_failures(store: CollectionStore) -> Retried:
    """Mark failed rows of each unretired generation; forget how the source looked where some of it was unreadable.

    The failures stay listed until a run has settled them.
    """
    workspace, name = store.workspace, store.collection.name
    unreadable = workspace.failures.count(name, "raw")
    try:
        relation = store.relation
    except NotFound:
        return Retried(0, 0)
    lost = unreadable if isinstance(store.collection.source, QueueSource) else 0
    unreadable -= lost
    keys: set[Key] = set()
    with workspace.database.connect() as connection:
        for generation in store.all():
            if generation.state in UNRETIRED:
                table = workspace.embeddings.rows_table(generation)
                marked = workspace.failures.mark(connection, table, relation.key_names)
                if marked:
                    workspace.embeddings.contents.forget(connection, generation)
                keys.update(marked)
        touch(connection, store, keys)
        if unreadable:
            _read_anew(connection, store)
    return Retried(len(keys), unreadable, lost)


def _read_anew(connection: Connection, store: CollectionStore) -> None:
    """Forget how the source looked: of files those with an unreadable line, all where a line tells no file."""
    database, name = store.workspace.database, store.collection.name
    for statement in (
        "update {ops}.collections set source_fingerprint = null where name = %(name)s",
        "delete from {ops}.source_cursors where collection = %(name)s",
        "with bad as (select f.row_key, p.part from {ops}.failures f left join {ops}.source_parts p "
        "on p.collection = f.collection and starts_with(f.row_key, p.part || ':') "
        "where f.collection = %(name)s and f.stage = 'raw') "
        "update {ops}.source_parts set version = '' where collection = %(name)s and "
        "(part in (select part from bad) or exists (select from bad where part is null))",
    ):
        connection.execute(database.compose(statement), {"name": name})


def touch(connection: Connection, store: CollectionStore, keys: Several[Key]) -> None:
    """Tell change capture that rows need work although their source did not change, in the caller's transaction.

    A scan finds them by their digest, and needs nothing more.
    """
    relation = store.relation
    if not keys:
        return
    connection.execute(
        store.workspace.database.compose(
            "insert into {ops}.changes (capture, keys) "
            "select capture, %s::json from {ops}.captures where relid = %s::regclass"
        ),
        (f"[{','.join(row_key(key) for key in keys)}]", relation.table.as_string(connection)),
    )
