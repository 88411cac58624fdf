"""One generation being made equal to its source: the difference rule, in SQL, by rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from psycopg import sql

from vector_assets.records import BadRow, EmbeddedRow, Generation, Key, PendingRow, Value
from vector_assets.source.keys import row_key
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.difference import Difference, DifferenceStore
from vector_assets.stores.failures import FailureStore
from vector_assets.stores.generation_tables import row_digest
from vector_assets.stores.relation import Relation
from vector_assets.stores.staging import Staging
from vector_assets.stores.sync_pages import Old, Pages


@dataclass(slots=True)
class GenerationSync:
    """Reads what needs work and writes what was made of it, on two connections in autocommit.

    A row needs work when the digest of what is read of it is not the one the generation holds. The list of such
    rows is a temporary table, made once; each page is read anew, so that it carries the digest of what was read,
    and written only where the source still has that digest. Once all pages are through, ``finish`` moves the
    generation's cursor to the snapshot of the list: what was committed later is read by the next sync.
    """

    database: Database
    reading: Connection
    staging: Staging
    difference: Difference
    held: int  # rows that the generation held when the list was made
    old: Old  # a generation whose vectors are taken over where the checkpoint is the same
    failures: FailureStore
    listed: frozenset[str]  # rows that were set aside before
    page: int
    run_id: str | None = None
    exhausted: bool = False

    @property
    def generation(self) -> Generation:
        """What is being made equal."""
        return self.staging.generation

    @property
    def relation(self) -> Relation:
        """Its source."""
        return self.staging.relation

    @property
    def pending(self) -> int:
        """Rows that need work."""
        return self.difference.work

    @property
    def unchanged(self) -> int:
        """Rows that the generation holds as they are."""
        return self.held - self.difference.gone - (self.difference.work - self.difference.fresh)

    def remove_gone(self) -> int:
        """Delete what left the source, from both tables in one statement; it is no failure any more either.

        A row that came back since the list was made stays; the change that brought it is read by the next sync.
        """
        if not self.difference.gone:
            return 0
        generation, relation = self.generation, self.relation
        gone = self.reading.execute(
            sql.SQL(
                "with gone as (delete from {rows} g using pg_temp.gone w where {listed} "
                "and not exists (select from {source} r where {same}) returning g.*), "
                "vectors as (delete from {vectors} v using gone where {both}), "
                "folded as ({fold}) select {key}, g.state from gone g"
            ).format(
                rows=self.staging.rows,
                listed=relation.same_stored("w", "g"),
                source=relation.table,
                same=relation.same("r", "g"),
                vectors=self.staging.vectors,
                both=relation.same_stored("v", "gone"),
                fold=self.staging.contents.fold(generation, relation.key_names, old="gone", new=None),
                key=relation.stored_key("g"),
            )
        ).fetchall()
        failed = [row_key(cast(Key, row[:-1])) for row in gone if row[-1] == "failed"]
        if failed:
            self.failures.settle(generation.collection, "embeddings", [], failed, run_id=self.run_id)
        return len(gone)

    def pages(self) -> Iterator[list[PendingRow]]:
        """Yield rows that need work; a row that left meanwhile is left out."""
        yield from Pages(self.reading, self.generation, self.relation, self.old, self.pending, self.page)
        self.exhausted = True

    def write(self, rows: Sequence[EmbeddedRow]) -> int:
        """Stamp and store a page in one statement; what the source no longer has in that form is not stored."""
        self._note_failures(rows)
        return self.staging.store(rows, row_digest(self.generation, self.relation, "r"))

    def finish(self) -> None:
        """Move the cursor, once every page was read and written."""
        if not self.exhausted:
            return
        generation = self.generation
        cursors = DifferenceStore(self.database).cursors
        with self.reading.transaction():
            cursors.move(self.reading, generation.collection, str(generation.number), self.difference.cursor)

    def _note_failures(self, rows: Sequence[EmbeddedRow]) -> None:
        """Record bad rows before the batch is stored, in a transaction of their own; forget those that are mended."""
        bad = [BadRow(row_key(row.row.key), row.error, _shown(row.row.inputs)) for row in rows if row.state == "failed"]
        good = [key for row in rows if row.state != "failed" and (key := row_key(row.row.key)) in self.listed]
        if bad or good:
            self.failures.settle(self.generation.collection, "embeddings", bad, good, run_id=self.run_id)


def _shown(inputs: tuple[tuple[Value, ...], ...]) -> str:
    """The inputs of a row for people: of an image how many bytes it has."""
    return str(
        tuple(
            tuple(f"{len(value):,} bytes" if isinstance(value, bytes) else value for value in values)
            for values in inputs
        )
    )
