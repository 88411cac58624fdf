"""Change capture: triggers on a table that leave the keys of what was written in ``ops.changes``."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.relation import Relation

# A statement that wrote more rows leaves one mark that says "all": the writer must not pay for our keys.
KEYS_PER_STATEMENT = 5000
# Types whose JSON reads back as what it was, in every session; others travel as their text under pinned settings.
_PLAIN = ("smallint", "integer", "bigint", "text", "character varying", "uuid", "boolean")
_EVENTS = {
    "insert": "referencing new table as new_rows",
    "update": "referencing old table as old_rows new table as new_rows",
    "delete": "referencing old table as old_rows",
    "truncate": "",
}


@dataclass(frozen=True, slots=True)
class Capture:
    """How changes of a table are known. ``number`` is None without working triggers, and ``reason`` says why.

    ``fingerprint`` is over the triggers' state, the table's file and the columns read. When it differs, writes may
    have gone unseen (a trigger was off, the table was rewritten, a column replaced), and all rows are compared.
    """

    number: int | None
    fingerprint: str
    reason: str = ""


class CaptureStore:
    """Installs, inspects and removes capture."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def look(self, connection: Connection, relation: Relation, fields: tuple[str, ...]) -> Capture:
        """Return how changes of a table are known at this moment, in the caller's snapshot."""
        row = connection.execute(
            self.database.compose(
                "select c.capture, coalesce(t.working, 0), md5(concat_ws('|', r.relfilenode, t.state, a.columns)) "
                "from pg_class r left join {ops}.captures c on c.relid = r.oid "
                "left join lateral (select count(*) filter (where g.tgenabled in ('O', 'A')) as working, "
                "string_agg(concat_ws(':', g.oid, g.tgenabled, g.xmin), ',' order by g.oid) as state "
                "from pg_trigger g where g.tgrelid = r.oid "
                "and g.tgfoid = to_regproc(format('%%I.%%I', {schema}, 'capture_' || c.capture))) t on true "
                "left join lateral (select string_agg(concat_ws(':', attname, attnum, atttypid, atttypmod), ',' "
                "order by attnum) as columns from pg_attribute where attrelid = r.oid and attname = any(%s)) a on true "
                "where r.oid = %s::regclass",
                schema=sql.Literal(self.database.names.prefix + "ops"),
            ),
            ([*(column.name for column in relation.key), *fields], relation.table.as_string(connection)),
        ).fetchone()
        assert row is not None
        number, working, fingerprint = row
        if number is None or relation.capture != "trigger":
            return Capture(None, str(fingerprint), f"compared by {relation.capture}")
        if int(str(working)) < len(_EVENTS):
            return Capture(None, str(fingerprint), "its triggers are missing or switched off")
        return Capture(int(str(number)), str(fingerprint))

    def ensure(self, relation: Relation) -> Capture:
        """Make capture what the declaration asks for: install what is missing, remove what is not wanted.

        Where triggers cannot be had, the table is compared as a whole and the capture's reason says why.
        """
        with self.database.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended('vector_assets capture', 0))")
            found = self.look(connection, relation, ())
            if found.number is not None:
                return found
            if relation.capture != "trigger":
                self.remove(connection, relation)
                return found
            refused = self.refusal(connection, relation)
            if refused:
                return Capture(None, found.fingerprint, refused)
            try:
                with connection.transaction():
                    connection.execute("set local lock_timeout = '5s'")
                    self.install(connection, relation)
            except psycopg.errors.LockNotAvailable:
                return Capture(None, found.fingerprint, "its lock could not be had in 5 s; the next run tries again")
            except psycopg.errors.InsufficientPrivilege as error:
                return Capture(None, found.fingerprint, " ".join(str(error).split()))
            return self.look(connection, relation, ())

    def refusal(self, connection: Connection, relation: Relation) -> str:
        """Return why triggers would not see every write to a table, or may not be made; empty when they would."""
        row = connection.execute(
            "select r.relkind, r.relispartition, exists(select from pg_inherits where inhparent = r.oid "
            "or inhrelid = r.oid), exists(select from pg_subscription_rel s where s.srrelid = r.oid), "
            "has_table_privilege(r.oid, 'trigger') from pg_class r where r.oid = %s::regclass",
            (relation.table.as_string(connection),),
        ).fetchone()
        assert row is not None
        kind, partition, inherits, subscribed, allowed = row
        if kind not in ("r", b"r"):
            return "it is no plain table, and writes to its parts pass its triggers by"
        if partition or inherits:
            return "it is part of an inheritance tree, and writes through the others pass its triggers by"
        if subscribed:
            return "it is filled by logical replication, which fires no statement triggers"
        return "" if allowed else "this role may not make triggers on it (grant trigger on the table allows it)"

    def install(self, connection: Connection, relation: Relation) -> None:
        """Create function and triggers anew, in the caller's transaction."""
        self.remove(connection, relation)
        name = relation.table.as_string(connection)
        row = connection.execute(
            self.database.compose(
                "insert into {ops}.captures (relid, table_name) values (%s::regclass, %s) returning capture"
            ),
            (name, name),
        ).fetchone()
        assert row is not None
        for statement in [*self.statements(relation, int(str(row[0]))), *self._always(connection, relation)]:
            connection.execute(statement)

    def planned(self, connection: Connection, relation: Relation) -> list[sql.Composed]:
        """Compose what ``install`` would execute; the number in the function's name may become another."""
        row = connection.execute(
            self.database.compose("select coalesce(max(capture), 0) + 1 from {ops}.captures")
        ).fetchone()
        assert row is not None
        return [*self.statements(relation, int(str(row[0]))), *self._always(connection, relation)]

    def _always(self, connection: Connection, relation: Relation) -> list[sql.Composed]:
        """Let the triggers fire under session_replication_role = replica too, which only an owner may ask for.

        Else writes under it are found by the sweep only.
        """
        owner = connection.execute(
            "select pg_has_role(relowner, 'usage') from pg_class where oid = %s::regclass",
            (relation.table.as_string(connection),),
        ).fetchone()
        if not (owner and owner[0]):
            return []
        always = sql.SQL("alter table {} enable always trigger {}")
        return [always.format(relation.table, self._trigger(event)) for event in _EVENTS]

    def statements(self, relation: Relation, number: int) -> list[sql.Composed]:
        """Compose the function and its triggers."""
        function = self.database.names.table("ops", f"capture_{number}")
        made = [self._function(relation, number, function)]
        for event, referencing in _EVENTS.items():
            made.append(
                sql.SQL("create trigger {} after {} on {} {} for each statement execute function {}()").format(
                    self._trigger(event), sql.SQL(event), relation.table, sql.SQL(referencing), function
                )
            )
        return made

    def remove(self, connection: Connection, relation: Relation) -> bool:
        """Drop the triggers of a table, their function and what they noted; tell whether there were any."""
        gone = connection.execute(
            self.database.compose("delete from {ops}.captures where relid = %s::regclass returning capture"),
            (relation.table.as_string(connection),),
        ).fetchall()
        for (number,) in gone:
            function = self.database.names.table("ops", f"capture_{number}")
            connection.execute(sql.SQL("drop function if exists {} cascade").format(function))
            connection.execute(self.database.compose("delete from {ops}.changes where capture = %s"), (number,))
        return bool(gone)

    def _trigger(self, event: str) -> sql.Identifier:
        return sql.Identifier(f"{self.database.names.prefix}vector_assets_{event}")

    def _function(self, relation: Relation, number: int, function: sql.Identifier) -> sql.Composed:
        plain = all(column.type.startswith(_PLAIN) for column in relation.key)
        names = [sql.Identifier(column.name) for column in relation.key]
        key = sql.SQL("json_build_array({})").format(
            sql.SQL(", ").join(name if plain else sql.SQL("{}::text").format(name) for name in names)
        )
        selected = sql.SQL(", ").join(names)
        changes = self.database.names.table("ops", "changes")
        taken = {
            "INSERT": ("new_rows", sql.SQL("new_rows")),
            "DELETE": ("old_rows", sql.SQL("old_rows")),
            # A key that was changed stands in both: the row of the old one is gone.
            "UPDATE": (
                "new_rows",
                sql.SQL("(select {0} from new_rows union select {0} from old_rows)").format(selected),
            ),
        }
        # One statement a write, which counts no further than it must: this is what a single-row write pays for.
        branches = sql.SQL(" els").join(
            sql.SQL(
                "if tg_op = {op} then insert into {changes} (capture, keys) select {number}, "
                "case when n <= {most} then (select json_agg({key}) from {rows} w) end "
                "from (select count(*) as n from (select from {counted} limit {most} + 1) l) c where n > 0;"
            ).format(
                op=sql.Literal(op),
                changes=changes,
                number=sql.Literal(number),
                most=sql.Literal(KEYS_PER_STATEMENT),
                key=key,
                rows=rows,
                counted=sql.SQL(counted),
            )
            for op, (counted, rows) in taken.items()
        )
        body = sql.SQL(
            "begin {branches} else insert into {changes} (capture) values ({number}); end if; return null; end"
        ).format(branches=branches, changes=changes, number=sql.Literal(number))
        pinned = "" if plain else " set datestyle = 'ISO, YMD' set timezone = 'UTC' set extra_float_digits = 1"
        return sql.SQL(
            "create function {}() returns trigger language plpgsql security definer "
            "set search_path = pg_catalog{} as {}"
        ).format(function, sql.SQL(pinned), sql.Literal("#variable_conflict use_column " + body.as_string(None)))
