"""Tables of a generation: what they look like, what they hold, when they go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
from psycopg import sql

from vector_assets.records import Generation, Key, Vectors
from vector_assets.stores.arrays import to_array
from vector_assets.stores.database import Database
from vector_assets.stores.difference import DifferenceStore
from vector_assets.stores.failures import FailureStore
from vector_assets.stores.generation_tables import GenerationTables, read_fields, row_digest
from vector_assets.stores.relation import Relation, columns
from vector_assets.stores.staging import Staging
from vector_assets.stores.sync import GenerationSync


@dataclass(frozen=True, slots=True)
class Coverage:
    """Source and vectors, counted against each other in both directions."""

    source: int  # rows of the source
    embedded: int  # rows with all their chunks
    empty: int
    failed: int
    pending: int  # rows whose inputs are not what the generation holds, failed ones included until they change
    orphans: int  # rows with vectors that the source no longer has
    stale: int  # rows whose vector is of older inputs
    overdue: int  # pending rows that stood as they are before ``since``

    @property
    def share(self) -> float:
        """Rows accounted for (embedded or empty) of those in the source; 1.0 for an empty source."""
        return 1.0 if not self.source else (self.embedded + self.empty) / self.source


class EmbeddingStore(GenerationTables):
    """Syncs, counts and reads the tables of generations."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        super().__init__(database)
        self.failures = FailureStore(database)
        self.differences = DifferenceStore(database)

    @contextmanager
    def sync(
        self,
        generation: Generation,
        relation: Relation,
        *,
        reuse: Generation | None = None,
        page: int = 1024,
        run_id: str | None = None,
        whole: bool = False,
    ) -> Iterator[GenerationSync]:
        """Open a sync of one generation, alone: a second one waits for the first to end.

        Only keys that are known to have changed are compared, where changes are captured; ``whole`` compares all.
        """
        old = reuse or generation
        rows, vectors = self.rows_table(generation), self.vectors_table(generation)
        with (
            self.database.connect(autocommit=True) as reading,
            self.database.connect(autocommit=True) as writing,
        ):
            reading.execute(
                "select pg_advisory_lock(hashtextextended(%s, 2))",
                (f"embeddings/{generation.collection}/{generation.number}",),
            )
            self.follow_types(reading, generation, relation)
            held, _ = self.contents.version(reading, generation)
            staging = Staging(writing, generation, relation, rows, vectors, self.contents)
            difference = self.differences.list(
                reading,
                generation.collection,
                str(generation.number),
                relation,
                rows=rows,
                fields=tuple(read_fields(generation)),
                whole=whole,
            )
            listed: frozenset[str] = frozenset()
            if difference.work:
                staging.prepare()
                listed = self.failures.keys(generation.collection, "embeddings")
            sync = GenerationSync(
                self.database, reading, staging, difference, held,
                (old, self.rows_table(old), self.vectors_table(old)), self.failures, listed, page, run_id,
            )  # fmt: skip
            yield sync
            sync.finish()

    def now(self) -> str:
        """Return the oldest transaction still running: what committed before it, every later sync sees."""
        with self.database.connect() as connection:
            row = connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::xid::text").fetchone()
        assert row is not None
        return str(row[0])

    def coverage(self, generation: Generation, relation: Relation, *, since: str | None = None) -> Coverage:
        """Count source against vectors, both ways, by the same digests as the sync.

        ``since`` comes from ``now``. A table that is written to always has rows that the last sync did not see; only
        those that it should have seen are overdue. Without ``since`` all pending rows are.
        """
        query = sql.SQL(
            "select count(*) filter (where {source_key} is not null), "
            "count(*) filter (where g.state = 'done' and {source_key} is not null and g.row_digest = {digest}), "
            "count(*) filter (where g.state = 'empty' and g.row_digest = {digest}), "
            "count(*) filter (where g.state = 'failed' and g.row_digest = {digest}), "
            "count(*) filter (where {source_key} is not null and g.row_digest is distinct from {digest}), "
            "count(*) filter (where {source_key} is null), "
            "count(*) filter (where {source_key} is not null and g.row_digest <> {digest}), "
            "count(*) filter (where {source_key} is not null and g.row_digest is distinct from {digest} "
            "and ({since}::xid is null or age(r.xmin) > age({since}::xid))) "
            "from {table} r full join {rows} g on {same}"
        ).format(
            since=sql.Literal(since),
            source_key=sql.Identifier("r", relation.key[0].name),
            digest=row_digest(generation, relation, "r"),
            table=relation.table,
            rows=self.rows_table(generation),
            same=relation.same("r", "g"),
        )
        with self.database.connect() as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return Coverage(*(int(str(value)) for value in row))

    def content_version(self, generation: Generation) -> str:
        """Digest of what a generation holds: its meaning, and each row with the digest of its inputs."""
        with self.database.connect() as connection:
            return self.contents.version(connection, generation)[1]

    def chunk_gaps(self, generation: Generation, relation: Relation) -> int:
        """Count rows whose number of vectors is not the number they were cut into."""
        with self.database.connect() as connection:
            row = connection.execute(
                sql.SQL(
                    "select count(*) from {} g left join (select {}, count(*) as n from {} v group by {}) c on {} "
                    "where g.chunk_count <> coalesce(c.n, 0)"
                ).format(
                    self.rows_table(generation), columns(relation.key_names, "v"), self.vectors_table(generation),
                    columns(relation.key_names, "v"), relation.same_stored("g", "c"),
                )
            ).fetchone()  # fmt: skip
        assert row is not None
        return int(str(row[0]))

    def truncated(self, generation: Generation) -> int:
        """Count vectors of texts that were cut at their encoder's limit of tokens."""
        with self.database.connect() as connection:
            row = connection.execute(
                sql.SQL("select count(*) from {} where truncated").format(self.vectors_table(generation))
            ).fetchone()
        assert row is not None
        return int(str(row[0]))

    def blocks(
        self, generation: Generation, relation: Relation, *, size: int = 8192
    ) -> Iterator[tuple[list[Key], Vectors]]:
        """Stream keys and vectors in key order, ``size`` chunks at a time: (keys, (n, dims) float32)."""
        with self.database.connect() as connection, connection.cursor(name="blocks", binary=True) as cursor:
            cursor.itersize = size
            keys = columns(relation.key_names, "v")
            cursor.execute(
                sql.SQL("select {}, v.vector from {} v order by {}, v.chunk_no").format(
                    keys, self.vectors_table(generation), keys
                )
            )
            while rows := cursor.fetchmany(size):
                yield [cast(Key, row[:-1]) for row in rows], np.stack([to_array(row[-1]) for row in rows])

    def sizes(self, generation: Generation) -> tuple[int, int]:
        """Return the bytes of the vectors' table and of its indexes."""
        with self.database.connect() as connection:
            row = connection.execute(
                sql.SQL("select pg_table_size({0}::regclass), pg_indexes_size({0}::regclass)").format(
                    sql.Literal(self.vectors_table(generation).as_string(connection))
                )
            ).fetchone()
        assert row is not None
        return int(str(row[0])), int(str(row[1]))
