"""One generation being made equal to its source: the difference rule, in SQL, by rows."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import psycopg
from pgvector import HalfVector, Vector
from psycopg import sql

from vector_assets.records import BadRow, EmbeddedRow, Generation, Key, OldChunk, Part, PendingRow
from vector_assets.source.keys import row_key
from vector_assets.stores.arrays import to_array
from vector_assets.stores.database import Connection
from vector_assets.stores.failures import FailureStore
from vector_assets.stores.relation import Relation, columns

Old = tuple[Generation, sql.Identifier, sql.Identifier]


@dataclass(slots=True)
class GenerationSync:
    """Reads what needs work and writes what was made of it, on two connections in autocommit.

    A row needs work when the digest of what is read of it is not the one the generation holds. The list of such
    rows is a temporary table, made once; each page is read anew, so that it carries the digest of what was read,
    and written only where the source still has that digest.
    """

    reading: Connection
    writing: Connection
    generation: Generation
    relation: Relation
    rows: sql.Identifier
    vectors: sql.Identifier
    old: Old
    failures: FailureStore
    page: int
    run_id: str | None = None
    pending: int = 0
    unchanged: int = 0

    @classmethod
    def open(
        cls,
        reading: Connection,
        writing: Connection,
        generation: Generation,
        relation: Relation,
        *,
        rows: sql.Identifier,
        vectors: sql.Identifier,
        old: Old,
        failures: FailureStore,
        page: int,
        run_id: str | None,
    ) -> GenerationSync:
        """List what needs work. ``old`` is a generation whose vectors are reused where the checkpoint is the same."""
        sync = cls(reading, writing, generation, relation, rows, vectors, old, failures, page, run_id)
        reading.execute(
            sql.SQL(
                "create temp table work as select row_number() over (order by {key}) as n, {key} "
                "from {source} r left join {rows} g on {same} where g.row_digest is distinct from {digest}"
            ).format(
                key=relation.source_key("r"),
                source=relation.table,
                rows=rows,
                same=relation.same("r", "g"),
                digest=sync._row_digest("r"),
            )
        )
        reading.execute("create index on pg_temp.work (n)")
        reading.execute("analyze pg_temp.work")
        sync.pending = sync._count(sql.SQL("select count(*) from pg_temp.work"))
        sync.unchanged = sync._count(sql.SQL("select count(*) from {}").format(relation.table)) - sync.pending
        sync._make_staging()
        return sync

    def remove_gone(self) -> int:
        """Delete what left the source, from both tables in one statement; it is no failure any more either."""
        gone = self.writing.execute(
            sql.SQL(
                "with gone as (delete from {rows} g where not exists (select from {source} r where {same}) "
                "returning {key}, g.state), "
                "vectors as (delete from {vectors} v using gone where {both}) select * from gone"
            ).format(
                rows=self.rows,
                source=self.relation.table,
                same=self.relation.same("r", "g"),
                key=self.relation.stored_key("g"),
                vectors=self.vectors,
                both=self.relation.same_stored("v", "gone"),
            )
        ).fetchall()
        failed = [row_key(cast(Key, row[:-1])) for row in gone if row[-1] == "failed"]
        if failed:
            self.failures.settle(self.generation.collection, "embeddings", [], failed, run_id=self.run_id)
        return len(gone)

    def pages(self) -> Iterator[list[PendingRow]]:
        """Yield rows that need work; a row that left meanwhile is left out."""
        for start in range(1, self.pending + 1, self.page):
            last = start + self.page - 1
            # One snapshot: another run may be changing the generation that vectors are taken over from.
            with self.reading.transaction():
                rows = self.reading.execute(self._page_query(start, last)).fetchall()
                found = self.reading.execute(self._old_query(start, last)).fetchall()
            old: dict[int, list[OldChunk]] = defaultdict(list)
            for number, chunk, digest, vector, present, truncated in found:
                one = OldChunk(
                    cast(int, chunk), cast(bytes, digest), to_array(vector), cast(int, present), bool(truncated)
                )
                old[cast(int, number)].append(one)
            yield [self._pending(row, tuple(old[cast(int, row[0])])) for row in rows]

    def write(self, rows: Sequence[EmbeddedRow]) -> int:
        """Stamp and store a page in one statement; what the source no longer has in that form is not stored."""
        self._note_failures(rows)
        with self.writing.transaction():
            self.writing.execute("truncate pg_temp.staged_rows, pg_temp.staged_chunks")
            self._stage(rows)
            row = self.writing.execute(self._store_query()).fetchone()
        assert row is not None
        return int(str(row[0]))

    # -- reading

    def _page_query(self, first: int, last: int) -> sql.Composed:
        # The numbers are literals: with parameters, a % in the name of a column would be taken for a placeholder.
        parts = self.generation.parts
        fields = [field for part in parts for field in part.fields]
        before, rows, _ = self.old
        same = sql.SQL(", ").join(
            sql.SQL("coalesce(p.{} = {} and p.state = 'done', false)").format(
                sql.Identifier(f"d{before.parts.index(match) + 1}"), self.relation.digest(part.fields, "r")
            )
            if (match := _same_part(before, part))
            else sql.SQL("false")
            for part in parts
        )
        return sql.SQL(
            "select w.n, {key}, {row}, {digests}, {fields}, {same} from pg_temp.work w join {source} r on {on} "
            "left join {rows} p on {joined} where w.n between {first} and {last} order by w.n"
        ).format(
            key=self.relation.source_key("r"),
            row=self._row_digest("r"),
            digests=sql.SQL(", ").join(self.relation.digest(part.fields, "r") for part in parts),
            fields=columns(fields, "r"),
            same=same,
            source=self.relation.table,
            on=self._worked("r"),
            rows=rows,
            joined=self.relation.same("r", "p"),
            first=sql.Literal(first),
            last=sql.Literal(last),
        )

    def _old_query(self, first: int, last: int) -> sql.Composed:
        return sql.SQL(
            "select w.n, o.chunk_no, o.chunk_digest, o.vector, o.present, o.truncated from pg_temp.work w "
            "join {vectors} o on {same} where w.n between {first} and {last} order by w.n, o.chunk_no"
        ).format(
            vectors=self.old[2],
            same=self.relation.same("w", "o"),
            first=sql.Literal(first),
            last=sql.Literal(last),
        )

    def _worked(self, source: str) -> sql.Composed:
        return sql.SQL(" and ").join(
            sql.SQL("w.{0} = {1}.{0}").format(sql.Identifier(column.name), sql.Identifier(source))
            for column in self.relation.key
        )

    def _pending(self, row: tuple[object, ...], old: tuple[OldChunk, ...]) -> PendingRow:
        parts = self.generation.parts
        take = _Taker(list(row[1:]))
        key = tuple(take(len(self.relation.key)))
        (row_digest,) = take(1)
        digests = tuple(take(len(parts)))
        inputs = tuple(tuple(take(len(part.fields))) for part in parts)
        same = tuple(map(bool, take(len(parts))))
        matches = (_same_part(self.old[0], part) for part in parts)
        places = tuple(match.place if match else None for match in matches)
        return PendingRow(key, row_digest, digests, inputs, old, places, same)  # type: ignore[arg-type]

    # -- writing

    def _make_staging(self) -> None:
        digests = sql.SQL(", ").join(sql.SQL("{} bytea").format(sql.Identifier(name)) for name in self._digests())
        self.writing.execute(
            sql.SQL("create temp table staged_rows ({}, row_digest bytea, {}, chunk_count integer, state text)").format(
                self.relation.key_definition(), digests
            )
        )
        self.writing.execute(
            sql.SQL(
                "create temp table staged_chunks ({}, chunk_no integer, chunk_digest bytea, start_offset integer, "
                "stop_offset integer, vector {}({}), present bigint, truncated boolean)"
            ).format(
                self.relation.key_definition(),
                sql.SQL(self.generation.vector_type),
                sql.Literal(self.generation.dims),
            )
        )

    def _stage(self, rows: Sequence[EmbeddedRow]) -> None:
        kinds = [_copied_as(column.type) for column in self.relation.key]
        parts = len(self.generation.parts)
        wrap = Vector if self.generation.vector_type == "vector" else HalfVector
        with (
            self.writing.cursor() as cursor,
            cursor.copy("copy pg_temp.staged_rows from stdin (format binary)") as copy,
        ):
            copy.set_types([*kinds, "bytea", *["bytea"] * parts, "int4", "text"])
            for row in rows:
                copy.write_row([*row.row.key, row.row.row_digest, *row.row.digests, len(row.chunks), row.state])
        with (
            self.writing.cursor() as cursor,
            cursor.copy("copy pg_temp.staged_chunks from stdin (format binary)") as copy,
        ):
            copy.set_types([*kinds, "int4", "bytea", "int4", "int4", self.generation.vector_type, "int8", "bool"])
            for row in rows:
                for chunk in row.chunks:
                    copy.write_row(
                        [*row.row.key, chunk.number, chunk.digest, chunk.start, chunk.stop, wrap(chunk.vector),
                         chunk.present, chunk.truncated]
                    )  # fmt: skip

    def _note_failures(self, rows: Sequence[EmbeddedRow]) -> None:
        """Record bad rows before the batch is stored, in a transaction of their own; forget those that are mended."""
        bad = [BadRow(row_key(row.row.key), row.error, str(row.row.inputs)) for row in rows if row.state == "failed"]
        good = [row_key(row.row.key) for row in rows if row.state != "failed"]
        self.failures.settle(self.generation.collection, "embeddings", bad, good, run_id=self.run_id)

    def _store_query(self) -> sql.Composed:
        """Compose the one statement that stamps vectors, digests and checkpoint set together."""
        keys = sql.SQL(", ").join(sql.Identifier(name) for name in self.relation.key_names)
        filters = self.generation.filters
        targets = sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier("f_" + name)) for name in filters)
        sources = sql.SQL("").join(sql.SQL(", r.{}").format(sql.Identifier(name)) for name in filters)
        chunk = ["chunk_digest", "start_offset", "stop_offset", "vector", "present", "truncated"]
        changed = [*chunk, "checkpoint_set", *(f"f_{name}" for name in filters)]
        stored = ["row_digest", *self._digests(), "chunk_count", "state"]
        return sql.SQL(
            "with fresh as materialized (select s.* from pg_temp.staged_rows s join {source} r on {same} "
            "where {digest} = s.row_digest), "
            "gone as (delete from {vectors} v using fresh f where {vf} and v.chunk_no >= f.chunk_count), "
            "put as (insert into {vectors} ({keys}, chunk_no, {chunk}, checkpoint_set{targets}) "
            "select {ckeys}, c.chunk_no, {cchunk}, {stamp}{sources} from fresh f "
            "join pg_temp.staged_chunks c on {cf} join {source} r on {same_c} "
            "on conflict ({keys}, chunk_no) do update set {set_chunk}), "
            "kept as (insert into {rows} ({keys}, {stored}) select {fkeys}, {fstored} from fresh f "
            "on conflict ({keys}) do update set {set_rows}, applied_xid = pg_current_xact_id(), "
            "embedded_at = clock_timestamp() returning 1) select count(*) from kept"
        ).format(
            source=self.relation.table,
            same=self.relation.same("r", "s"),
            digest=self._row_digest("r"),
            vectors=self.vectors,
            vf=self.relation.same_stored("v", "f"),
            keys=keys,
            chunk=_plain(chunk),
            targets=targets,
            ckeys=self.relation.stored_key("c"),
            cchunk=columns(chunk, "c"),
            stamp=sql.Literal(self.generation.checkpoint_set),
            sources=sources,
            cf=self.relation.same_stored("c", "f"),
            same_c=self.relation.same("r", "c"),
            set_chunk=_excluded(changed),
            rows=self.rows,
            stored=_plain(stored),
            fkeys=self.relation.stored_key("f"),
            fstored=columns(stored, "f"),
            set_rows=_excluded(stored),
        )

    def _digests(self) -> list[str]:
        return [f"d{number}" for number in range(1, len(self.generation.parts) + 1)]

    def _row_digest(self, alias: str) -> sql.Composed:
        fields = [field for part in self.generation.parts for field in part.fields]
        return self.relation.digest([*fields, *self.generation.filters], alias)

    def _count(self, query: sql.Composable) -> int:
        row = self.reading.execute(query).fetchone()  # type: ignore[call-overload]
        return int(str(row[0]))


class _Taker:
    """Takes values off a row, from the left."""

    def __init__(self, values: list[object]) -> None:
        self.values, self.at = values, 0

    def __call__(self, count: int) -> list[object]:
        taken = self.values[self.at : self.at + count]
        self.at += count
        return taken


def _copied_as(kind: str) -> str:
    """Return the name by which psycopg writes a type; char, enums and the like travel as their text."""
    plain = re.sub(r"\(.*?\)", "", kind)
    known = psycopg.adapters.types.get(plain)
    try:
        psycopg.adapters.get_dumper_by_oid(known.oid if known else 0, psycopg.pq.Format.BINARY)
    except psycopg.ProgrammingError:
        return "text"
    return plain


def _same_part(before: Generation, part: Part) -> Part | None:
    """The part of an older generation that means the same: same space, fields, width and checkpoint, both in chunks."""
    for old in before.parts:
        if (old.space, old.fields, old.dims, old.checkpoint) == (part.space, part.fields, part.dims, part.checkpoint):
            return old if bool(old.chunk) == bool(part.chunk) else None
    return None


def _plain(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _excluded(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names)
