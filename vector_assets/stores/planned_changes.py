"""How changes of a source will be known, and what is done to the user's table for it: said before it is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from vector_assets.spec import Collection, PostgresSource, QueueSource, SqlSource
from vector_assets.stores.capture import CaptureStore
from vector_assets.stores.relation import Relation
from vector_assets.stores.workspace import Workspace

SCANNED = "every sync compares the digests of all rows with those that are held"

_COPY = "only rows that differ are written to our copy, whose triggers note their keys"


@dataclass(frozen=True, slots=True)
class Changes:
    """``said`` is one sentence for people; ``sql`` is what the next run executes on the table, in this order.

    ``capture`` is what will be the case, not what is asked for: a table that refuses triggers is scanned.
    """

    capture: Literal["trigger", "watermark", "scan", "copy"]
    said: str
    sql: tuple[str, ...] = ()


def planned_changes(workspace: Workspace, collection: Collection) -> Changes:
    """Say how changes of the source will be known. Nothing is made, dropped or locked."""
    source = collection.source
    if not isinstance(source, PostgresSource):
        return Changes("copy", _copied(collection))
    relation, table = workspace.raw.relation(collection), source.table
    if source.capture == "watermark":
        return Changes(
            "watermark",
            f"rows of {table} whose {source.watermark} is above the last one seen, less {source.overlap}, are "
            "compared; rows that left are found by comparing keys; nothing is made on the table",
            _removed(workspace, relation),
        )
    if source.capture == "scan":
        removed = _removed(workspace, relation)
        undone = "the triggers on it are removed" if removed else "nothing is made on the table"
        return Changes("scan", f"capture: scan; {SCANNED} of {table}; {undone}", removed)
    return _triggers(workspace, relation, table)


def _copied(collection: Collection) -> str:
    source = collection.source
    if isinstance(source, QueueSource):
        return "each message of the queue is a change; triggers on our copy note the keys that it wrote"
    if isinstance(source, SqlSource):
        read = f"rows from {source.cursor} on are" if source.cursor else "the query is"
        return (
            f"{read} read at each look; only rows that differ are written to our copy, whose triggers note their keys"
        )
    return f"the source is read again where names, sizes, times or versions differ; {_COPY}"


def _triggers(workspace: Workspace, relation: Relation, table: str) -> Changes:
    captures = CaptureStore(workspace.database)
    with workspace.database.connect() as connection:
        found = captures.look(connection, relation, ())
        if found.number is not None:
            return Changes("trigger", f"four triggers on {table} note the keys of what is written; they are there")
        refused = captures.refusal(connection, relation)
        if refused:
            return Changes("scan", f"{table} cannot have triggers: {refused}; so {SCANNED}")
        statements = [s.as_string(connection) for s in captures.planned(connection, relation)]
    return Changes(
        "trigger",
        f"the next run makes four triggers on {table} (insert, update, delete, truncate; once a statement) and their "
        "function, which note the keys of what is written; capture: scan makes none",
        tuple(statements),
    )


def _removed(workspace: Workspace, relation: Relation) -> tuple[str, ...]:
    """What the next run executes to take away triggers that an earlier declaration asked for."""
    database = workspace.database
    with database.connect() as connection:
        numbers = connection.execute(
            database.compose("select capture from {ops}.captures where relid = %s::regclass"),
            (relation.table.as_string(connection),),
        ).fetchall()
        return tuple(
            sql.SQL("drop function if exists {} cascade")
            .format(database.names.table("ops", f"capture_{number}"))
            .as_string(connection)
            for (number,) in numbers
        )
