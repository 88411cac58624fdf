"""Rows of a reading, staged in a temporary table and merged into ``raw``: only rows that differ are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from vector_assets.errors import SourceError
from vector_assets.records import BadRow, Key, KeyColumn, RawRow
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.raw_tables import PART, field_types, key_names, plain
from vector_assets.stores.relation import Relation, columns

NOTHING = sql.SQL("false")
EVERYTHING = sql.SQL("true")


@dataclass(slots=True)
class Staging:
    """Rows on their way into ``raw``, in ``pg_temp.staged``.

    The keys of rows that are there and cannot be read are in ``pg_temp.kept``: their last good state stays in raw, for
    a vector that is some edits old still answers, one that vanished does not. ``failures`` says which rows these are.
    """

    connection: Connection
    collection: Collection
    key: tuple[KeyColumn, ...]
    parted: bool = False
    count: int = 0
    bad: list[BadRow] = field(default_factory=list)

    def create(self) -> None:
        """Make the temporary tables, which end with the transaction."""
        types = {column.name: column.type for column in self.key} | field_types(self.collection)
        if self.parted:
            types[PART] = "bigint"
        for table, names in (("staged", self._names()), ("kept", key_names(self.key))):
            self.connection.execute(
                sql.SQL("create temp table {} ({}) on commit drop").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(n), sql.SQL(types[n])) for n in names),
                )
            )

    def add(self, rows: Iterable[RawRow | BadRow]) -> None:
        """Stream rows in; those that cannot be read are set aside."""
        self.add_parts((None, row) for row in rows)

    def add_parts(self, rows: Iterable[tuple[int | None, RawRow | BadRow]]) -> None:
        """Stream rows in, each with the number of the part that it is of."""
        names = key_names(self.key)
        wanted = [place for place, name in enumerate(self.collection.fields) if name not in names]
        before = len(self.bad)
        with (
            self.connection.cursor() as cursor,
            cursor.copy(sql.SQL("copy pg_temp.staged ({}) from stdin").format(plain(self._names()))) as copy,
        ):
            for part, row in rows:
                if isinstance(row, BadRow):
                    self.bad.append(row)
                    continue
                values = [*row.key, *(row.values[place] for place in wanted)]
                copy.write_row([*values, part] if self.parted else values)
                self.count += 1
        self.keep([row.key for row in self.bad[before:] if row.key is not None])

    def keep(self, keys: Sequence[Key]) -> None:
        """Keep the rows of these keys as they are in raw."""
        with self.connection.cursor() as cursor, cursor.copy("copy pg_temp.kept from stdin") as copy:
            for key in keys:
                copy.write_row(key)

    def check_unique(self) -> None:
        """Refuse an id that stands twice, bad rows included. Raises SourceError."""
        self.connection.execute("analyze pg_temp.staged")
        key = plain(key_names(self.key))
        repeated = self.connection.execute(
            sql.SQL(
                "select {0} from (select {0} from pg_temp.staged union all select {0} from pg_temp.kept) both_ "
                "group by {0} having count(*) > 1 limit 1"
            ).format(key)
        ).fetchone()
        if repeated:
            raise stands_twice(self.collection, repeated)

    def merge(self, relation: Relation, *, gone: sql.Composable = EVERYTHING) -> tuple[int, int, int]:
        """Make raw equal to what is staged; return how many rows were inserted, updated and deleted.

        Rows ``t`` that ``gone`` is true of, and that are neither staged nor kept, are deleted.
        """
        rest = [name for name in self._names() if name not in key_names(relation.key)]
        deleted = self.connection.execute(
            sql.SQL(
                "delete from {} t where {} and not exists (select from pg_temp.staged s where {}) "
                "and not exists (select from pg_temp.kept s where {})"
            ).format(relation.table, gone, same(relation.key), same(relation.key))
        ).rowcount
        updated = 0
        if rest:
            updated = self.connection.execute(
                sql.SQL("update {} t set {} from pg_temp.staged s where {} and {} is distinct from {}").format(
                    relation.table,
                    sql.SQL(", ").join(sql.SQL("{0} = s.{0}").format(sql.Identifier(name)) for name in rest),
                    same(relation.key),
                    sql.SQL("row({})").format(columns(rest, "t")),
                    sql.SQL("row({})").format(columns(rest, "s")),
                )
            ).rowcount
        names = plain([*key_names(relation.key), *rest])
        try:
            inserted = self.connection.execute(
                sql.SQL("insert into {} ({}) select {} from pg_temp.staged on conflict do nothing").format(
                    relation.table, names, names
                )
            ).rowcount
        except psycopg.errors.ProgramLimitExceeded as error:
            raise SourceError(
                f"{self.collection.name}: an id is too long ({error.diag.message_primary}); "
                "expected 2,000 bytes at most"
            ) from None
        return inserted, updated, deleted

    def _names(self) -> list[str]:
        key = key_names(self.key)
        return [*key, *(name for name in self.collection.fields if name not in key), *([PART] if self.parted else [])]


def same(key: Sequence[KeyColumn], left: str = "t", right: str = "s") -> sql.Composed:
    """``t."id" = s."id" and …``."""
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, column.name), sql.Identifier(right, column.name))
        for column in key
    )


def stands_twice(collection: Collection, key: Sequence[object]) -> SourceError:
    """Return the error of an id that is not unique."""
    shown = repr(key[0]) if len(key) == 1 else repr(tuple(key))
    return SourceError(f"{collection.name}: id {shown} stands twice in the source; ids must be unique")


def refuse_empty(collection: Collection, what: str, before: int) -> None:
    """Raise SourceError unless the declaration says that a source may be empty all at once."""
    if not getattr(collection.source, "allow_empty", True):
        raise SourceError(
            f"{collection.name}: {what}, where there were {before} rows; nothing was changed. Where they really left, "
            "declare allow_empty: true in source"
        )
