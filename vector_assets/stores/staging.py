"""Pages on their way into a generation: staged by COPY, then stored by one statement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from pgvector import HalfVector, Vector
from psycopg import sql

from vector_assets.records import EmbeddedRow, Generation
from vector_assets.stores.connections import Connection
from vector_assets.stores.contents import ContentStore
from vector_assets.stores.relation import Relation, columns

_CHUNK = ("chunk_digest", "start_offset", "stop_offset", "vector", "present", "truncated")


@dataclass(frozen=True, slots=True)
class Staging:
    """Writes pages to one generation on a connection of its own."""

    connection: Connection
    generation: Generation
    relation: Relation
    rows: sql.Identifier
    vectors: sql.Identifier
    contents: ContentStore

    def store(self, page: Sequence[EmbeddedRow], row_digest: sql.Composed) -> int:
        """Stamp and store a page in one statement; what the source no longer has in that form is not stored."""
        with self.connection.transaction():
            self.connection.execute("truncate pg_temp.staged_rows, pg_temp.staged_chunks")
            self._stage(page)
            # Planned anew each time: a plan made while the table was empty would read all of it for every page.
            row = self.connection.execute(self._store_query(row_digest), prepare=False).fetchone()
        assert row is not None
        return int(str(row[0]))

    def prepare(self) -> None:
        """Make the temporary tables."""
        digests = sql.SQL(", ").join(sql.SQL("{} bytea").format(sql.Identifier(name)) for name in self._digests())
        self.connection.execute(
            sql.SQL("create temp table staged_rows ({}, row_digest bytea, {}, chunk_count integer, state text)").format(
                self.relation.key_definition(), digests
            )
        )
        self.connection.execute(
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
            self.connection.cursor() as cursor,
            cursor.copy("copy pg_temp.staged_rows from stdin (format binary)") as copy,
        ):
            copy.set_types([*kinds, "bytea", *["bytea"] * parts, "int4", "text"])
            for row in rows:
                copy.write_row([*row.row.key, row.row.row_digest, *row.row.digests, len(row.chunks), row.state])
        with (
            self.connection.cursor() as cursor,
            cursor.copy("copy pg_temp.staged_chunks from stdin (format binary)") as copy,
        ):
            copy.set_types([*kinds, "int4", "bytea", "int4", "int4", self.generation.vector_type, "int8", "bool"])
            for row in rows:
                for chunk in row.chunks:
                    copy.write_row(
                        [*row.row.key, chunk.number, chunk.digest, chunk.start, chunk.stop, wrap(chunk.vector),
                         chunk.present, chunk.truncated]
                    )  # fmt: skip

    def _store_query(self, row_digest: sql.Composed) -> sql.Composed:
        """Compose the one statement that stamps vectors, digests and checkpoint set together."""
        keys = sql.SQL(", ").join(sql.Identifier(name) for name in self.relation.key_names)
        filters = self.generation.filters
        targets = sql.SQL("").join(sql.SQL(", {}").format(sql.Identifier("f_" + name)) for name in filters)
        sources = sql.SQL("").join(sql.SQL(", r.{}").format(sql.Identifier(name)) for name in filters)
        changed = [*_CHUNK, "checkpoint_set", *(f"f_{name}" for name in filters)]
        stored = ["row_digest", *self._digests(), "chunk_count", "state"]
        return sql.SQL(
            "with fresh as materialized (select s.* from pg_temp.staged_rows s join {source} r on {same} "
            "where {digest} = s.row_digest), "
            "before as materialized (select g.* from {rows} g join fresh f on {gf}), "
            "gone as (delete from {vectors} v using fresh f where {vf} and v.chunk_no >= f.chunk_count), "
            "put as (insert into {vectors} as v ({keys}, chunk_no, {chunk}, checkpoint_set{targets}) "
            "select {ckeys}, c.chunk_no, {cchunk}, {stamp}{sources} from fresh f "
            "join pg_temp.staged_chunks c on {cf} join {source} r on {same_c} "
            # A chunk that is what it was is left alone: each rewrite would leave a dead entry in the index.
            "on conflict ({keys}, chunk_no) do update set {set_chunk} where ({was}) is distinct from ({becomes})), "
            "kept as (insert into {rows} ({keys}, {stored}) select {fkeys}, {fstored} from fresh f "
            "on conflict ({keys}) do update set {set_rows}, applied_xid = pg_current_xact_id(), "
            "embedded_at = clock_timestamp()), "
            "folded as ({fold}) select count(*) from fresh"
        ).format(
            source=self.relation.table,
            same=self.relation.same("r", "s"),
            digest=row_digest,
            vectors=self.vectors,
            vf=self.relation.same_stored("v", "f"),
            keys=keys,
            chunk=_plain(_CHUNK),
            targets=targets,
            ckeys=self.relation.stored_key("c"),
            cchunk=columns(_CHUNK, "c"),
            stamp=sql.Literal(self.generation.checkpoint_set),
            sources=sources,
            cf=self.relation.same_stored("c", "f"),
            same_c=self.relation.same("r", "c"),
            gf=self.relation.same_stored("g", "f"),
            set_chunk=_excluded(changed),
            was=_compared(changed, sql.SQL("v")),
            becomes=_compared(changed, sql.SQL("excluded")),
            fold=self.contents.fold(self.generation, self.relation.key_names, old="before", new="fresh"),
            rows=self.rows,
            stored=_plain(stored),
            fkeys=self.relation.stored_key("f"),
            fstored=columns(stored, "f"),
            set_rows=_excluded(stored),
        )

    def _digests(self) -> list[str]:
        return [f"d{number}" for number in range(1, len(self.generation.parts) + 1)]


def _copied_as(kind: str) -> str:
    """Return the name by which psycopg writes a type; char, enums and the like travel as their text."""
    plain = re.sub(r"\(.*?\)", "", kind)
    known = psycopg.adapters.types.get(plain)
    try:
        psycopg.adapters.get_dumper_by_oid(known.oid if known else 0, psycopg.pq.Format.BINARY)
    except psycopg.ProgrammingError:
        return "text"
    return plain


def _plain(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _compared(names: Sequence[str], alias: sql.SQL) -> sql.Composed:
    # As text, because a column of any type may stand beside the vectors; the vector itself has an equality.
    return sql.SQL(", ").join(
        sql.SQL("{}.{}" if not name.startswith("f_") else "{}.{}::text").format(alias, sql.Identifier(name))
        for name in names
    )


def _excluded(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names)
