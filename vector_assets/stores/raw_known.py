"""What is known of the parts of a source: the files as they were last read, and the versions of their partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.raw_tables import PART
from vector_assets.stores.relation import Relation


@dataclass(frozen=True, slots=True)
class KnownPart:
    """A part as it was last read."""

    number: int
    version: str
    partition: str
    scope: str
    rows: int


def read_known(connection: Connection, database: Database, collection: Collection) -> dict[str, KnownPart]:
    """Return the parts of a collection by name."""
    rows = connection.execute(
        database.compose(
            "select part, number, version, partition, scope, rows from {ops}.source_parts where collection = %s"
        ),
        (collection.name,),
    ).fetchall()
    return {
        str(row[0]): KnownPart(int(str(row[1])), str(row[2]), str(row[3]), str(row[4]), int(str(row[5])))
        for row in rows
    }


def partition_versions(
    connection: Connection,
    database: Database,
    collection: Collection,
    relation: Relation,
    partitions: Sequence[str],
) -> dict[str, str]:
    """Return the version of some partitions: count and digest of their rows."""
    if not partitions:
        return {}
    fields = relation.contents(list(collection.fields), "r")
    text = sql.SQL("json_build_array({}, {})::text").format(relation.source_key("r"), fields)
    rows = connection.execute(
        database.compose(
            "select p.partition, count(*), bit_xor(hashtextextended({row_text}, 0)) from {table} r "
            "join {ops}.source_parts p on p.number = r.{part} "
            "where p.collection = %s and p.partition = any(%s) group by 1",
            row_text=text,
            table=relation.table,
            part=sql.Identifier(PART),
        ),
        (collection.name, list(partitions)),
    ).fetchall()
    found = {str(name): f"{count}-{int(str(one)) & 0xFFFFFFFFFFFFFFFF:016x}" for name, count, one in rows}
    return {name: found.get(name, "0") for name in partitions}
