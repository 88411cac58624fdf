"""What differs between a source and what was made of it: listed by changed keys where they are known, else whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from psycopg import sql

from vector_assets.stores.capture import CaptureStore
from vector_assets.stores.connections import Connection
from vector_assets.stores.cursors import Cursor, CursorStore
from vector_assets.stores.database import Database
from vector_assets.stores.relation import Relation

Mode = Literal["keys", "watermark", "all"]


@dataclass(frozen=True, slots=True)
class Difference:
    """Counts of ``pg_temp.work`` (rows that need work) and ``pg_temp.gone`` (what left the source).

    ``fresh`` rows of work are not held yet. ``cursor`` is where the reader stands once all of it is done.
    """

    mode: Mode
    work: int
    fresh: int
    gone: int
    cursor: Cursor


class DifferenceStore:
    """Lists differences in one snapshot, on the caller's connection, as temporary tables."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database
        self.captures = CaptureStore(database)
        self.cursors = CursorStore(database)

    def list(
        self,
        connection: Connection,
        collection: str,
        reader: str,
        relation: Relation,
        *,
        rows: sql.Identifier,
        fields: tuple[str, ...],
        whole: bool = False,
    ) -> Difference:
        """Compare the digest of ``fields`` with ``row_digest`` in ``rows``; ``whole`` compares every row.

        A change is new to a reader when it is visible now and was not in the snapshot of the reader's cursor. So a
        long transaction neither hides what commits before it nor holds anything up.
        """
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read")
            mode, now = self.touch(connection, collection, reader, relation, fields, whole=whole)
            self.compare(connection, relation, rows, fields, mode)
            connection.execute("create index on pg_temp.work (n)")
            connection.execute("analyze pg_temp.work")
            row = connection.execute(
                "select count(*), count(*) filter (where fresh), (select count(*) from pg_temp.gone) from pg_temp.work"
            ).fetchone()
        assert row is not None
        work, fresh, gone = (int(str(value)) for value in row)
        return Difference(mode, work, fresh, gone, now)

    def touch(
        self,
        connection: Connection,
        collection: str,
        reader: str,
        relation: Relation,
        fields: tuple[str, ...],
        *,
        whole: bool = False,
    ) -> tuple[Mode, Cursor]:
        """Note the keys that a reader has not seen since its cursor; return how, and the cursor after them.

        In the caller's transaction, which must see one snapshot throughout (repeatable read).
        """
        connection.execute("drop table if exists pg_temp.touched, pg_temp.work, pg_temp.gone")
        now = self.cursors.now(connection, self.captures.look(connection, relation, fields))
        if relation.capture == "watermark":
            now = replace(now, watermark=self._high_water(connection, relation))
        before = None if whole else self.cursors.get(connection, collection, reader)
        return self._touched(connection, relation, before, now), now

    def _touched(self, connection: Connection, relation: Relation, before: Cursor | None, now: Cursor) -> Mode:
        """Write keys that may differ to ``pg_temp.touched`` and return how they were found."""
        if before is None or before.fingerprint != now.fingerprint:
            return "all"
        if relation.capture == "watermark" and before.watermark is not None:
            self._above(connection, relation, before.watermark)
            return "watermark"
        if now.capture is None or before.capture != now.capture:
            return "all"
        keys = sql.SQL(", ").join(
            sql.SQL("(e.value ->> {})::{} as {}").format(sql.Literal(place), sql.SQL(column.type), sql.Identifier(name))
            for place, (column, name) in enumerate(zip(relation.key, relation.key_names, strict=True))
        )
        news = self.database.compose(
            "from {ops}.changes c where c.capture = {capture} and c.xid >= pg_snapshot_xmin({seen}::pg_snapshot) "
            "and not pg_visible_in_snapshot(c.xid, {seen}::pg_snapshot)",
            capture=sql.Literal(now.capture),
            seen=sql.Literal(before.seen),
        )
        marked = connection.execute(sql.SQL("select exists(select {} and c.keys is null)").format(news)).fetchone()
        if marked and marked[0]:
            return "all"
        connection.execute(
            sql.SQL(
                "create temp table touched as with news as materialized (select c.keys {}) "
                "select distinct {} from news cross join lateral json_array_elements(news.keys) e"
            ).format(news, keys)
        )
        connection.execute("analyze pg_temp.touched")
        return "keys"

    def _above(self, connection: Connection, relation: Relation, watermark: str) -> None:
        column = sql.Identifier("r", relation.watermark)
        connection.execute(
            sql.SQL("create temp table touched as select {} from {} r where {} >= {} - {} or {} is null").format(
                relation.as_stored("r"), relation.table, column, self._typed(connection, relation, watermark),
                sql.Literal(relation.overlap) if relation.overlap else sql.SQL("0"), column,
            )
        )  # fmt: skip
        connection.execute("analyze pg_temp.touched")

    def _high_water(self, connection: Connection, relation: Relation) -> str | None:
        row = connection.execute(
            sql.SQL("select max({})::text from {} r").format(sql.Identifier("r", relation.watermark), relation.table)
        ).fetchone()
        return str(row[0]) if row and row[0] is not None else None

    def _typed(self, connection: Connection, relation: Relation, value: str) -> sql.Composed:
        row = connection.execute(
            "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass and attname = %s",
            (relation.table.as_string(connection), relation.watermark),
        ).fetchone()
        assert row is not None
        return sql.SQL("{}::{}").format(sql.Literal(value), sql.SQL(str(row[0])))

    def compare(
        self, connection: Connection, relation: Relation, rows: sql.Identifier, fields: tuple[str, ...], mode: Mode
    ) -> None:
        """Write rows that differ to ``pg_temp.work`` and what left the source to ``pg_temp.gone``."""
        parts: dict[str, sql.Composable] = {
            "key": relation.source_key("r"),
            "named": relation.as_stored("r"),
            "stored": relation.stored_key("g"),
            "known": sql.Identifier("g", relation.key_names[0]),
            "source": relation.table,
            "rows": rows,
            "same": relation.same("r", "g"),
            "digest": relation.digest(fields, "r"),
            "in_source": sql.Identifier("r", relation.key[0].name),
        }
        if mode == "all":
            # One pass over both: the hash table needs room, and two processes halve the time. Few rows differ, but the
            # planner expects most of them to, and would keep one process rather than pass them on.
            connection.execute("set local work_mem = '256MB'")
            connection.execute("set local parallel_tuple_cost = 0")
            either = sql.SQL(", ").join(
                sql.SQL("coalesce({}, {}) as {}").format(
                    sql.Identifier("r", column.name), sql.Identifier("g", name), sql.Identifier(name)
                )
                for column, name in zip(relation.key, relation.key_names, strict=True)
            )
            connection.execute(
                sql.SQL(
                    "create temp table compared as "
                    "select {either}, {known} is null as fresh, {in_source} is null as away "
                    "from {source} r full join {rows} g on {same} "
                    "where {in_source} is null or g.row_digest is distinct from {digest}"
                ).format(**parts, either=either)
            )
            connection.execute(
                sql.SQL(
                    "create temp table work as select row_number() over (order by {stored}) as n, {stored}, g.fresh "
                    "from pg_temp.compared g where not g.away"
                ).format(**parts)
            )
            connection.execute(
                sql.SQL("create temp table gone as select {} from pg_temp.compared g where g.away").format(
                    parts["stored"]
                )
            )
            connection.execute("drop table pg_temp.compared")
            return
        connection.execute(
            sql.SQL(
                "create temp table work as select row_number() over (order by {key}) as n, {named}, {known} is null "
                "as fresh from pg_temp.touched t join {source} r on {on} left join {rows} g on {same} "
                "where g.row_digest is distinct from {digest}"
            ).format(**parts, on=relation.same("r", "t"))
        )
        of_touched = (
            sql.SQL("")
            if mode == "watermark"
            else sql.SQL("join pg_temp.touched t on {} ").format(relation.same_stored("t", "g"))
        )
        connection.execute(
            sql.SQL(
                "create temp table gone as select {stored} from {rows} g {touched}"
                "where not exists (select from {source} r where {same})"
            ).format(**parts, touched=of_touched)
        )
