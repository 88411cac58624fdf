"""What a generation holds, as one short text: counted and digested while it is written."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from vector_assets.records import Generation
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.relation import columns


class ContentStore:
    """Keeps ``ops.contents``: rows, and two 64-bit hashes of each row folded by xor (keys are unique).

    Every statement that changes the rows of a generation folds the old hashes out and the new ones in. Whoever
    changes rows by other ways calls ``forget``; the next sync then counts anew.
    """

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def version(self, connection: Connection, generation: Generation) -> tuple[int, str]:
        """Return the rows of a generation and the digest of its content: its meaning and each row's digests."""
        row = connection.execute(
            self.database.compose(
                "select rows, one, two from {ops}.contents where collection = %s and generation = %s"
            ),
            (generation.collection, generation.number),
        ).fetchone()
        if row is None:
            row = self._count(connection, generation)
        rows, one, two = (int(str(value)) for value in row)
        content = f"{rows}-{one & 0xFFFFFFFFFFFFFFFF:016x}{two & 0xFFFFFFFFFFFFFFFF:016x}"
        return rows, f"{generation.checkpoint_set[:12]}-{content}"

    def forget(self, connection: Connection, generation: Generation) -> None:
        """Drop what was counted."""
        connection.execute(
            self.database.compose("delete from {ops}.contents where collection = %s and generation = %s"),
            (generation.collection, generation.number),
        )

    def fold(self, generation: Generation, keys: Sequence[str], *, old: str, new: str | None) -> sql.Composed:
        """Compose the statement that takes the rows of ``old`` (a name in the same statement) out and ``new`` in."""
        gone = self._folded(generation, keys, old)
        come = (
            self._folded(generation, keys, new)
            if new
            else sql.SQL("select 0 as rows, 0::bigint as one, 0::bigint as two")
        )
        return self.database.compose(
            "update {ops}.contents c set rows = c.rows - o.rows + n.rows, one = c.one # o.one # n.one, "
            "two = c.two # o.two # n.two from ({gone}) o, ({come}) n "
            "where c.collection = {collection} and c.generation = {number}",
            gone=gone,
            come=come,
            collection=sql.Literal(generation.collection),
            number=sql.Literal(generation.number),
        )

    def _count(self, connection: Connection, generation: Generation) -> tuple[object, ...]:
        table = self.database.names.table("embedding", generation.table + "_rows")
        found = connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attname ~ '^k[0-9]+$' and attnum > 0 "
            "order by attnum",
            (table.as_string(connection),),
        ).fetchall()
        row = connection.execute(
            self.database.compose(
                "insert into {ops}.contents (collection, generation, rows, one, two) "
                "select {collection}, {number}, f.rows, f.one, f.two from ({folded}) f "
                "on conflict (collection, generation) do update set rows = excluded.rows, one = excluded.one, "
                "two = excluded.two returning rows, one, two",
                collection=sql.Literal(generation.collection),
                number=sql.Literal(generation.number),
                folded=self._folded(generation, [str(name) for (name,) in found], generation.table + "_rows"),
            )
        ).fetchone()
        assert row is not None
        return row

    def _folded(self, generation: Generation, keys: Sequence[str], name: str) -> sql.Composed:
        table = (
            self.database.names.table("embedding", name) if name == generation.table + "_rows" else sql.Identifier(name)
        )
        digests = [f"d{number}" for number in range(1, len(generation.parts) + 1)]
        text = sql.SQL("row({})::text").format(columns([*keys, *digests, "row_digest", "state"], "g"))
        return sql.SQL(
            "select count(*) as rows, coalesce(bit_xor(hashtextextended({0}, 0)), 0) as one, "
            "coalesce(bit_xor(hashtextextended({0}, 7)), 0) as two from {1} g"
        ).format(text, table)
