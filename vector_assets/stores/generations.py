"""Generations: made, measured, decided, swapped whole, taken back. Postgres alone says what is live."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Literal, cast

from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.embedding.layout import Layout
from vector_assets.errors import NotFound
from vector_assets.records import Decision, Generation, GenerationState, Part
from vector_assets.spec import Collection
from vector_assets.stores.cursors import CursorStore
from vector_assets.stores.database import Connection, Database
from vector_assets.stores.embeddings import EmbeddingStore
from vector_assets.stores.relation import Relation
from vector_assets.stores.views import ViewStore

Json = Mapping[str, object]
_COLUMNS = sql.SQL(
    "collection, generation, state, checkpoint_set, layout, dims, vector_type, filters, metric, ef_search, decision"
)


class GenerationStore:
    """Reads and writes ``ops.generations`` and what hangs on it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database
        self.embeddings = EmbeddingStore(database)
        self.views = ViewStore(database)

    def list(self, collection: str) -> tuple[Generation, ...]:
        """Return all generations, the newest first."""
        with self.database.connect() as connection:
            return self._select(connection, "where collection = %s order by generation desc", collection)

    def get(self, collection: str, number: int) -> Generation:
        """Return one generation; raises NotFound."""
        with self.database.connect() as connection:
            found = self._select(connection, "where collection = %s and generation = %s", collection, number)
        if not found:
            raise NotFound(
                f"collection {collection} has no generation {number}; vector-assets status {collection} lists them"
            )
        return found[0]

    def live(self, collection: str) -> Generation | None:
        """Return the live generation."""
        with self.database.connect() as connection:
            found = self._select(connection, "where collection = %s and state = 'live'", collection)
        return found[0] if found else None

    def create(self, collection: Collection, layout: Layout, relation: Relation, *, run_id: str | None) -> Generation:
        """Make a building generation with empty tables; where live means the same, its vectors are copied.

        When another run has just made one for the same layout, that one is returned.
        """
        with self.database.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 3))", (collection.name,))
            begun = self._select(
                connection, "where collection = %s and state = 'building' order by generation desc", collection.name
            )
            for generation in begun:
                if layout.describes(generation, collection):
                    return generation
            row = connection.execute(
                self.database.compose(
                    "select coalesce(max(generation), 0) + 1 from {ops}.generations where collection = %s"
                ),
                (collection.name,),
            ).fetchone()
            assert row is not None
            generation = Generation(
                collection=collection.name,
                number=int(str(row[0])),
                state="building",
                checkpoint_set=layout.checkpoint_set,
                parts=layout.parts,
                dims=layout.dims,
                vector_type=layout.vector_type,
                filters=tuple(collection.filters),
                metric=collection.index.metric,
            )
            connection.execute(
                self.database.compose(
                    "insert into {ops}.generations (collection, generation, state, checkpoint_set, layout, dims, "
                    "vector_type, filters, metric, run_id) values (%s, %s, 'building', %s, %s, %s, %s, %s, %s, %s)"
                ),
                (
                    generation.collection, generation.number, generation.checkpoint_set,
                    Jsonb([asdict(part) for part in generation.parts]), generation.dims, generation.vector_type,
                    Jsonb(list(generation.filters)), generation.metric, run_id,
                ),
            )  # fmt: skip
            self.embeddings.create(connection, generation, relation)
            live = self._select(connection, "where collection = %s and state = 'live'", collection.name)
            if live and live[0].checkpoint_set == generation.checkpoint_set:
                self.embeddings.copy(connection, live[0], generation, relation)
        return generation

    def set_state(self, generation: Generation, state: GenerationState) -> Generation:
        """Move a generation that is not live to another state."""
        with self.database.connect() as connection:
            self._set_state(connection, generation, state)
        return replace(generation, state=state)

    def fail(self, generation: Generation) -> None:
        """A failed build leaves live untouched and cleans up after itself."""
        with self.database.connect() as connection:
            self.embeddings.drop(connection, generation)
            self._set_state(connection, generation, "failed")

    def measure(self, generation: Generation, values: Json, *, ef_search: int | None = None) -> None:
        """Add measurements to a generation; ``ef_search`` is what its queries will use."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "update {ops}.generations set measures = measures || %s, ef_search = coalesce(%s, ef_search) "
                    "where collection = %s and generation = %s"
                ),
                (Jsonb(dict(values)), ef_search, generation.collection, generation.number),
            )

    def measures(self, generation: Generation) -> Json:
        """Return the measurements of a generation."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select measures from {ops}.generations where collection = %s and generation = %s"
                ),
                (generation.collection, generation.number),
            ).fetchone()
        return cast(Json, row[0]) if row else {}

    def decide(self, generation: Generation, decision: Decision) -> None:
        """Record what the gate says."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "update {ops}.generations set decision = %s, decided = %s where collection = %s and generation = %s"
                ),
                (decision.decision, Jsonb(asdict(decision)), generation.collection, generation.number),
            )

    def decided(self, generation: Generation) -> Json:
        """Return the recorded decision with its reason and comparison; empty when there is none."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select decided from {ops}.generations where collection = %s and generation = %s"
                ),
                (generation.collection, generation.number),
            ).fetchone()
        return cast(Json, row[0]) if row and row[0] else {}

    def swap(self, collection: Collection, generation: Generation, relation: Relation, *, because: str) -> Generation:
        """Make a generation live: state, views, function and the outbox entry in one transaction."""
        with self.database.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 3))", (collection.name,))
            retired = connection.execute(
                self.database.compose(
                    "update {ops}.generations set state = 'retired', retired_at = now() "
                    "where collection = %s and state = 'live' and generation <> %s returning generation"
                ),
                (generation.collection, generation.number),
            ).fetchall()
            for (number,) in retired:  # it is not kept fresh any more, and must not keep changes from being pruned
                CursorStore(self.database).forget(connection, generation.collection, str(number))
            connection.execute(
                self.database.compose(
                    "update {ops}.generations set state = 'live', live_at = now(), retired_at = null "
                    "where collection = %s and generation = %s"
                ),
                (generation.collection, generation.number),
            )
            connection.execute(
                self.database.compose(
                    "insert into {ops}.collections (name, live_generation) values (%s, %s) "
                    "on conflict (name) do update set live_generation = excluded.live_generation, updated_at = now()"
                ),
                (generation.collection, generation.number),
            )
            live = self._select(
                connection, "where collection = %s and generation = %s", generation.collection, generation.number
            )[0]
            self.views.replace(connection, collection, live, relation)
            connection.execute(
                self.database.compose("insert into {ops}.outbox (collection, kind, payload) values (%s, 'live', %s)"),
                (
                    generation.collection,
                    Jsonb({"generation": generation.number, "checkpoints": generation.checkpoints, "because": because}),
                ),
            )
        return live

    def refresh_views(self, collection: Collection, generation: Generation, relation: Relation) -> None:
        """Make view and function of the live generation anew: its ef_search was measured again, or a column went."""
        with self.database.connect() as connection:
            live = self._select(
                connection, "where collection = %s and generation = %s", generation.collection, generation.number
            )
            self.views.replace(connection, collection, live[0], relation)

    def rollback_target(self, collection: str) -> Generation:
        """Return the retired generation that was live last; raises NotFound."""
        with self.database.connect() as connection:
            found = self._select(
                connection,
                "where collection = %s and state = 'retired' and dropped_at is null order by retired_at desc limit 1",
                collection,
            )
        if not found:
            raise NotFound(f"collection {collection} has no retired generation to roll back to")
        return found[0]

    def drop_retired(self, collection: str, *, keep: int) -> tuple[int, ...]:
        """Drop all but the last ``keep`` retired generations, and candidates that a newer generation overtook."""
        with self.database.connect() as connection:
            retired = self._select(
                connection,
                "where collection = %s and state = 'retired' and dropped_at is null order by retired_at desc",
                collection,
            )
            stale = self._select(
                connection,
                "where collection = %s and state in ('candidate', 'building') and dropped_at is null and generation < "
                "(select max(generation) from {ops}.generations where collection = %s and state <> 'failed')",
                collection,
                collection,
            )
            dropped = (*retired[keep:], *stale)
            for generation in dropped:
                self.embeddings.drop(connection, generation)
                connection.execute(
                    self.database.compose(
                        "update {ops}.generations set state = 'retired', dropped_at = now(), "
                        "retired_at = coalesce(retired_at, now()) where collection = %s and generation = %s"
                    ),
                    (generation.collection, generation.number),
                )
        return tuple(generation.number for generation in dropped)

    def _set_state(self, connection: Connection, generation: Generation, state: GenerationState) -> None:
        connection.execute(
            self.database.compose("update {ops}.generations set state = %s where collection = %s and generation = %s"),
            (state, generation.collection, generation.number),
        )

    def _select(self, connection: Connection, where: str, *values: object) -> tuple[Generation, ...]:
        rows = connection.execute(
            self.database.compose("select {columns} from {ops}.generations " + where, columns=_COLUMNS),  # noqa: S608
            values,
        ).fetchall()
        return tuple(_generation(row) for row in rows)


def _generation(row: tuple[object, ...]) -> Generation:
    collection, number, state, stamp, layout, dims, kind, filters, metric, ef_search, decision = row
    parts = json.loads(layout) if isinstance(layout, str) else cast(list[dict[str, object]], layout)
    return Generation(
        collection=str(collection),
        number=int(str(number)),
        state=cast(GenerationState, state),
        checkpoint_set=str(stamp),
        parts=tuple(map(Part.of, parts)),
        dims=int(str(dims)),
        vector_type=cast(Literal["vector", "halfvec"], kind),
        filters=tuple(cast(list[str], filters)),
        metric=str(metric),
        ef_search=int(str(ef_search)) if ef_search is not None else None,
        decision=str(decision) if decision else None,
    )
