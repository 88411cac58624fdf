"""Generations: made, measured, decided, swapped whole, taken back. Postgres alone says what is live."""

from __future__ import annotations

from dataclasses import asdict, replace

from psycopg.types.json import Jsonb

from vector_assets.embedding.layout import Layout
from vector_assets.errors import NotFound
from vector_assets.records import Decision, Generation, GenerationState
from vector_assets.spec import Collection
from vector_assets.stores.connections import Connection
from vector_assets.stores.cursors import CursorStore
from vector_assets.stores.database import Database
from vector_assets.stores.embeddings import EmbeddingStore
from vector_assets.stores.generation_records import GenerationRecords, Json
from vector_assets.stores.relation import Relation
from vector_assets.stores.views import ViewStore


class GenerationStore(GenerationRecords):
    """Reads and writes ``ops.generations`` and what hangs on it."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        super().__init__(database)
        self.embeddings = EmbeddingStore(database)
        self.views = ViewStore(database)

    def create(self, collection: Collection, layout: Layout, relation: Relation, *, run_id: str | None) -> Generation:
        """Make a building generation with empty tables; where live means the same, its vectors are copied.

        When another run has just made one for the same layout, that one is returned.
        """
        with self.database.connect() as connection:
            connection.execute("select pg_advisory_xact_lock(hashtextextended(%s, 3))", (collection.name,))
            begun = self.select(
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
                index_type=layout.index_type,
                precision=layout.precision,
            )
            connection.execute(
                self.database.compose(
                    "insert into {ops}.generations (collection, generation, state, checkpoint_set, layout, dims, "
                    "vector_type, filters, metric, index_type, precision, run_id) "
                    "values (%s, %s, 'building', %s, %s, %s, %s, %s, %s, %s, %s, %s)"
                ),
                (
                    generation.collection, generation.number, generation.checkpoint_set,
                    Jsonb([asdict(part) for part in generation.parts]), generation.dims, generation.vector_type,
                    Jsonb(list(generation.filters)), generation.metric, generation.index_type,
                    generation.precision, run_id,
                ),
            )  # fmt: skip
            self.embeddings.create(connection, generation, relation)
            live = self.select(connection, "where collection = %s and state = 'live'", collection.name)
            if live and live[0].checkpoint_set == generation.checkpoint_set and live[0].is_as_precise(generation):
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

    def decide(self, generation: Generation, decision: Decision) -> None:
        """Record what the gate says."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "update {ops}.generations set decision = %s, decided = %s where collection = %s and generation = %s"
                ),
                (decision.decision, Jsonb(asdict(decision)), generation.collection, generation.number),
            )

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
            live = self.select(
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
            live = self.select(
                connection, "where collection = %s and generation = %s", generation.collection, generation.number
            )
            self.views.replace(connection, collection, live[0], relation)

    def roll_up(self, collection: Collection, generation: Generation) -> Generation:
        """Store how many of a row's best chunks make its score, where the declaration says another number now.

        The vectors stay what they are; of the live generation whoever calls makes the function anew.
        """
        tops = {name: space.chunk.best for name, space in collection.spaces.items()}
        parts = tuple(replace(each, top=tops.get(each.space, 1) if each.chunk else 1) for each in generation.parts)
        if parts == generation.parts:
            return generation
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "update {ops}.generations set layout = %s where collection = %s and generation = %s"
                ),
                (Jsonb([asdict(part) for part in parts]), generation.collection, generation.number),
            )
        return replace(generation, parts=parts)

    def rollback_target(self, collection: str) -> Generation:
        """Return the retired generation that was live last; raises NotFound."""
        with self.database.connect() as connection:
            found = self.select(
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
            retired = self.select(
                connection,
                "where collection = %s and state = 'retired' and dropped_at is null order by retired_at desc",
                collection,
            )
            stale = self.select(
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
