"""What is recorded of generations, read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal, cast

from psycopg import sql

from vector_assets.errors import NotFound
from vector_assets.records import Generation, GenerationState, IndexType, Part, Precision
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database

Json = Mapping[str, object]
_COLUMNS = sql.SQL(
    "collection, generation, state, checkpoint_set, layout, dims, vector_type, filters, metric, ef_search, decision, "
    "index_type, precision"
)


class GenerationRecords:
    """Reads ``ops.generations``."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def list(self, collection: str) -> tuple[Generation, ...]:
        """Return all generations, the newest first."""
        with self.database.connect() as connection:
            return self.select(connection, "where collection = %s order by generation desc", collection)

    def kept(self, collection: str) -> tuple[Generation, ...]:
        """Return the generations whose vectors are there in full, the newest first."""
        with self.database.connect() as connection:
            return self.select(
                connection,
                "where collection = %s and dropped_at is null and state in ('candidate', 'live', 'retired') "
                "order by generation desc",
                collection,
            )

    def get(self, collection: str, number: int) -> Generation:
        """Return one generation; raises NotFound."""
        with self.database.connect() as connection:
            found = self.select(connection, "where collection = %s and generation = %s", collection, number)
        if not found:
            raise NotFound(
                f"collection {collection} has no generation {number}; vector-assets status {collection} lists them"
            )
        return found[0]

    def live(self, collection: str) -> Generation | None:
        """Return the live generation."""
        with self.database.connect() as connection:
            found = self.select(connection, "where collection = %s and state = 'live'", collection)
        return found[0] if found else None

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

    def select(self, connection: Connection, where: str, *values: object) -> tuple[Generation, ...]:
        """Return generations by a condition of ours."""
        rows = connection.execute(
            self.database.compose("select {columns} from {ops}.generations " + where, columns=_COLUMNS),  # noqa: S608
            values,
        ).fetchall()
        return tuple(_generation(row) for row in rows)


def _generation(row: tuple[object, ...]) -> Generation:
    (
        collection,
        number,
        state,
        stamp,
        layout,
        dims,
        kind,
        filters,
        metric,
        ef_search,
        decision,
        index_type,
        precision,
    ) = row
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
        index_type=cast(IndexType, index_type),
        precision=cast(Precision, precision),
    )
