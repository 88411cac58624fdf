"""A source of files: only those that changed are read again, and rows leave with the file that they were in.

A file with a line that nobody can name (no JSON, not UTF-8) loses no rows until it reads well again: the line may be
any of those that are missing. A row that is there with a wrong value keeps its last good state.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from psycopg import sql

from vector_assets.errors import SourceError
from vector_assets.records import BadRow, PartedReader, RawRow, SourcePart, SourceReader
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.raw_known import KnownPart, partition_versions, read_known
from vector_assets.stores.raw_merge import Staging, refuse_empty, same
from vector_assets.stores.raw_record import RawSync
from vector_assets.stores.raw_tables import (
    PART,
    ensure_table,
    is_as_declared,
    key_names,
    plain,
    stored_key,
)
from vector_assets.stores.raw_write import RawWriter
from vector_assets.stores.relation import Relation, columns


def is_parted(reader: SourceReader) -> TypeGuard[PartedReader]:
    """Tell whether a source consists of parts."""
    return hasattr(type(reader), "parts")


def sync_parts(
    writer: RawWriter,
    collection: Collection,
    reader: PartedReader,
    *,
    partitions: Sequence[str] | None = None,
    run_id: str | None = None,
) -> RawSync:
    """Read the parts that changed, or those of some partitions, and merge them in one transaction."""
    started = time.perf_counter()
    fingerprint = writer.fingerprint_of(collection, reader)
    parts = reader.parts()
    with writer.writing(collection) as connection:
        one = _Reading(writer, connection, collection, reader, parts, partitions)
        if not one.changed and not one.gone:
            return writer.unread(connection, collection, None if partitions else fingerprint, started)
        changed = one.run()
        rows, version = writer.record(connection, collection, one.relation, fingerprint if one.is_complete() else None)
        writer.failures.amend(connection, collection.name, "raw", one.staging.bad, one.mended(), run_id=run_id)
        versions = partition_versions(connection, writer.database, collection, one.relation, one.touched())
        unreadable = writer.count_failures(connection, collection)
    writer.analyze(one.relation)
    return RawSync(rows, *changed, unreadable, time.perf_counter() - started, version, read=True, partitions=versions)


class _Reading:
    """One reading of the parts of a source that need it."""

    def __init__(
        self,
        writer: RawWriter,
        connection: Connection,
        collection: Collection,
        reader: PartedReader,
        parts: Sequence[SourcePart],
        partitions: Sequence[str] | None,
    ) -> None:
        self.writer, self.connection = writer, connection
        self.collection, self.reader, self.parts = collection, reader, parts
        self.partial = partitions is not None
        self.all_known = read_known(self.connection, self.writer.database, self.collection)
        there = [part for part in parts if partitions is None or part.partition in partitions]
        self.known = {
            name: known for name, known in self.all_known.items() if partitions is None or known.partition in partitions
        }
        fits = is_as_declared(connection, writer.database.names, collection, parted=True)
        if self.partial and not fits and self.all_known.keys() - self.known.keys():
            raise SourceError(
                f"{collection.name}: its declaration changed, so every partition has to be read again; "
                "materialize raw without partitions first"
            )
        self.changed = [
            part for part in there if self.partial or not fits or self._differs(part, self.known.get(part.name))
        ]
        names = {part.name for part in parts}
        self.gone = {name: known for name, known in self.known.items() if name not in names}
        if self.known and not there:
            refuse_empty(collection, "no file matches", sum(known.rows for known in self.known.values()))
        self.numbers: dict[str, int] = {}
        self.staging: Staging
        self.relation: Relation

    def run(self) -> tuple[int, int, int]:
        """Stage and merge; return how many rows were inserted, updated and deleted."""
        names = self.writer.database.names
        key = self.reader.key if self.parts else stored_key(self.connection, names, self.collection.name)
        self.numbers = self._number_parts()
        self.staging = Staging(self.connection, self.collection, key or self.reader.key, parted=True)
        self.staging.create()
        unnamed: set[str] = set()
        self.staging.add_parts(self._rows(unnamed))
        self.staging.check_unique()
        self.relation = ensure_table(self.connection, names, self.collection, self.staging.key, parted=True)
        replaced = [self.numbers[part.name] for part in self.changed if part.name not in unnamed]
        left = [known.number for known in self.gone.values()]
        self._refuse_moved_twice([*self.numbers.values(), *left])
        changed = self.staging.merge(self.relation, gone=self._in_parts([*replaced, *left], unnamed))
        self._close_parts(left)
        return changed

    def is_complete(self) -> bool:
        """Tell whether every part of the source is now as it was read."""
        known = read_known(self.connection, self.writer.database, self.collection)
        return all(not self._differs(part, known.get(part.name)) for part in self.parts)

    def mended(self) -> list[str]:
        """Return the failures of parts that were read again or left."""
        bad = {row.where for row in self.staging.bad}
        names = [*(part.name for part in self.changed), *self.gone]
        rows = self.connection.execute(
            self.writer.database.compose(
                "select f.row_key from {ops}.failures f where f.collection = %s and f.stage = 'raw' and exists "
                "(select from unnest(%s::text[]) p where starts_with(f.row_key, p || ':') "
                "or starts_with(f.row_key, p || ' row '))"
            ),
            (self.collection.name, names),
        ).fetchall()
        return [str(row[0]) for row in rows if str(row[0]) not in bad]

    def touched(self) -> list[str]:
        """Return the partitions that were read."""
        found = {part.partition for part in self.changed} | {known.partition for known in self.gone.values()}
        return sorted(found - {""})

    # -- parts

    def _differs(self, part: SourcePart, known: KnownPart | None) -> bool:
        return known is None or (known.version, known.scope) != (part.version, self.reader.scope)

    def _number_parts(self) -> dict[str, int]:
        put = self.writer.database.compose(
            "insert into {ops}.source_parts (collection, part, version, partition, scope, rows) "
            "values (%s, %s, %s, %s, %s, 0) on conflict (collection, part) do update set version = excluded.version, "
            "partition = excluded.partition, scope = excluded.scope, read_at = now() returning number"
        )
        numbers = {}
        for part in self.changed:
            row = self.connection.execute(
                put, (self.collection.name, part.name, part.version, part.partition, self.reader.scope)
            ).fetchone()
            assert row is not None
            numbers[part.name] = int(str(row[0]))
        return numbers

    def _close_parts(self, left: Sequence[int]) -> None:
        compose = self.writer.database.compose
        self.connection.execute(compose("delete from {ops}.source_parts where number = any(%s)"), (list(left),))
        self.connection.execute(
            compose(
                "update {ops}.source_parts p set rows = (select count(*) from {table} r where r.{part} = p.number) "
                "where p.number = any(%s)"
                if len(self.numbers) < 2
                else "update {ops}.source_parts p set rows = coalesce(c.rows, 0) from {ops}.source_parts o left join "
                "(select {part} as number, count(*) as rows from {table} group by 1) c on c.number = o.number "
                "where o.number = p.number and p.number = any(%s)",
                table=self.relation.table,
                part=sql.Identifier(PART),
            ),
            (list(self.numbers.values()),),
        )

    # -- rows

    def _rows(self, unnamed: set[str]) -> Iterator[tuple[int | None, RawRow | BadRow]]:
        """Stream the rows of changed parts; a part that had rows and has none now is refused."""
        read = dict.fromkeys((part.name for part in self.changed), 0)
        for part, row in self.reader.read(self.changed) if self.changed else ():
            read[part.name] += 1
            if isinstance(row, BadRow) and row.key is None:
                unnamed.add(part.name)
            yield self.numbers[part.name], row
        for name, rows in read.items():
            known = self.known.get(name)
            if not rows and known and known.rows:
                refuse_empty(self.collection, f"{name} has no row", known.rows)

    def _in_parts(self, numbers: Sequence[int], unnamed: set[str]) -> sql.Composable:
        inside = sql.SQL("t.{} = any({})").format(sql.Identifier(PART), sql.Literal(list(numbers)))
        if self.partial or unnamed:
            return inside
        # Rows from before parts were told apart: every part has been read now, so they are in one or nowhere.
        return sql.SQL("({} or t.{} is null)").format(inside, sql.Identifier(PART))

    def _refuse_moved_twice(self, numbers: Sequence[int]) -> None:
        """Refuse an id that also stands in a part that was not read; where that part lost it, it has moved."""
        row = self.connection.execute(
            self.writer.database.compose(
                "select {key}, p.part, q.part from {table} t join pg_temp.staged s on {same} "
                "join {ops}.source_parts p on p.number = t.{part} join {ops}.source_parts q on q.number = s.{part} "
                "where not t.{part} = any(%s) limit 1",
                key=columns(key_names(self.relation.key), "t"),
                table=self.relation.table,
                same=same(self.relation.key),
                part=sql.Identifier(PART),
            ),
            (list(numbers),),
        ).fetchone()
        if row:
            raise SourceError(
                f"{row[-1]}: {plain(key_names(self.relation.key)).as_string(None)} {row[0]!r} stands in {row[-2]} "
                "as well; expected each id once"
            )
