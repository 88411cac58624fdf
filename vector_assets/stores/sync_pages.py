"""The rows that a sync has to look at, page by page, each with the old vectors that may still be of use."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from psycopg import sql

from vector_assets.records import Generation, OldChunk, Part, PendingRow
from vector_assets.stores.arrays import to_array
from vector_assets.stores.connections import Connection
from vector_assets.stores.generation_tables import row_digest
from vector_assets.stores.relation import Relation

# Old vectors that come with a page of chunked rows, about.
OLD_CHUNKS = 8192
# Bytes of images that come with a page, about.
IMAGES_AT_ONCE = 64 * 2**20

Old = tuple[Generation, sql.Identifier, sql.Identifier]


@dataclass(frozen=True, slots=True)
class Pages:
    """Reads rows of the temporary table ``work`` from the source; one that left meanwhile is left out."""

    reading: Connection
    generation: Generation
    relation: Relation
    old: Old  # a generation whose vectors are taken over where the checkpoint is the same
    pending: int  # rows of ``work``
    page: int

    def __iter__(self) -> Iterator[list[PendingRow]]:
        # Old vectors of chunked rows come with them: pages are as long as their chunks allow.
        start, size = 1, self.page if self.generation.chunked is None else min(self.page, 64)
        while start <= self.pending:
            last = self._last(start, size)
            # One snapshot: another run may be changing the generation that vectors are taken over from.
            with self.reading.transaction():
                self.reading.execute("set transaction isolation level repeatable read")
                rows = self.reading.execute(self._page_query(start, last)).fetchall()
                found = self._old_rows([cast(int, row[0]) for row in rows if self._may_keep(row)])
            old: dict[int, list[OldChunk]] = defaultdict(list)
            for number, chunk, digest, vector, present, truncated in found:
                one = OldChunk(
                    cast(int, chunk), cast(bytes, digest), to_array(vector), cast(int, present), bool(truncated)
                )
                old[cast(int, number)].append(one)
            start = last + 1
            if self.generation.chunked is not None:
                size = max(16, min(self.page, OLD_CHUNKS * len(rows) // max(len(found), 1)))
            yield [self._pending(row, tuple(old[cast(int, row[0])])) for row in rows]

    def _last(self, first: int, size: int) -> int:
        """The last row of a page: as many as wanted, or as their images allow, and at least one."""
        last = first + size - 1
        fields = [field for part in self.generation.parts if part.kind == "image" for field in part.fields]
        if not fields:
            return last
        row = self.reading.execute(
            sql.SQL(
                "select count(*) filter (where s.bytes <= {most}) from "
                "(select sum({sizes}) over (order by w.n) as bytes from pg_temp.work w "
                "left join {source} r on {on} where w.n between {first} and {last}) s"
            ).format(
                most=sql.Literal(IMAGES_AT_ONCE),
                sizes=self.relation.image_bytes(fields, "r"),
                source=self.relation.table,
                on=self.relation.same("r", "w"),
                first=sql.Literal(first),
                last=sql.Literal(last),
            )
        ).fetchone()
        assert row is not None
        return first + max(1, int(str(row[0]))) - 1

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
            row=row_digest(self.generation, self.relation, "r"),
            digests=sql.SQL(", ").join(self.relation.digest(part.fields, "r") for part in parts),
            fields=self.relation.inputs(fields, "r"),
            same=same,
            source=self.relation.table,
            on=self.relation.same("r", "w"),
            rows=rows,
            joined=self.relation.same("r", "p"),
            first=sql.Literal(first),
            last=sql.Literal(last),
        )

    def _may_keep(self, row: tuple[object, ...]) -> bool:
        """Tell whether old vectors of a row can be of use: of an edited text without chunks they are not."""
        return self.generation.chunked is not None or any(row[len(row) - len(self.generation.parts) :])

    def _old_rows(self, numbers: Sequence[int]) -> list[tuple[object, ...]]:
        if not numbers:
            return []
        query = sql.SQL(
            "select w.n, o.chunk_no, o.chunk_digest, o.vector, o.present, o.truncated from pg_temp.work w "
            "join {vectors} o on {same} where w.n = any({numbers}) order by w.n, o.chunk_no"
        ).format(
            vectors=self.old[2],
            same=self.relation.same_stored("w", "o"),
            numbers=sql.Literal(list(numbers)),
        )
        return self.reading.execute(query).fetchall()

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


class _Taker:
    """Takes values off a row, from the left."""

    def __init__(self, values: list[object]) -> None:
        self.values, self.at = values, 0

    def __call__(self, count: int) -> list[object]:
        taken = self.values[self.at : self.at + count]
        self.at += count
        return taken


def _same_part(before: Generation, part: Part) -> Part | None:
    """The part of an older generation that means the same: same space, fields, width and checkpoint, both in chunks."""
    for old in before.parts:
        if (old.space, old.fields, old.dims, old.checkpoint) == (part.space, part.fields, part.dims, part.checkpoint):
            return old if bool(old.chunk) == bool(part.chunk) else None
    return None
