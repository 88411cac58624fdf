"""Checkpoints and trainings: what was learned from what, and the key that finds it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from psycopg.types.json import Jsonb

from vector_assets.errors import NotFound
from vector_assets.records import Canary, Checkpoint
from vector_assets.stores.database import Database

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class StoredEncoder:
    """The checkpoint that a space uses next, and what it was trained from."""

    checkpoint: str
    training_key: str | None
    training_set: str | None


@dataclass(frozen=True, slots=True)
class Registered:
    """Where MLflow keeps a checkpoint."""

    run_id: str | None
    model: str | None
    version: str | None
    experiment: str | None = None


class CheckpointStore:
    """Reads and writes checkpoints, canaries, trainings and encoders in ``ops``."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def save(self, checkpoint: Checkpoint, *, training_key: str | None = None) -> None:
        """Keep a checkpoint with its canaries; a known digest keeps its first record but learns a new folder."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "insert into {ops}.checkpoints (digest, folder, contract, training_key) values (%s, %s, %s, %s) "
                    "on conflict (digest) do update set folder = excluded.folder"
                ),
                (checkpoint.digest, str(checkpoint.folder), Jsonb(dict(checkpoint.contract)), training_key),
            )
            with connection.cursor() as cursor:
                cursor.executemany(
                    self.database.compose(
                        "insert into {ops}.canaries (checkpoint, item, role, input, vector) values "
                        "(%s, %s, %s, %s, %s) "
                        "on conflict do nothing"
                    ),
                    [
                        (checkpoint.digest, number, canary.role, canary.text, list(canary.vector))
                        for number, canary in enumerate(checkpoint.canaries)
                    ],
                )

    def get(self, digest: str) -> Checkpoint:
        """Return a checkpoint; raises NotFound."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select folder, contract, mlflow_run_id from {ops}.checkpoints where digest = %s"
                ),
                (digest,),
            ).fetchone()
            if row is None:
                raise NotFound(f"no checkpoint {digest[:12]} is known; materialize its encoder")
            canaries = connection.execute(
                self.database.compose(
                    "select role, input, vector from {ops}.canaries where checkpoint = %s order by item"
                ),
                (digest,),
            ).fetchall()
        return Checkpoint(
            digest=digest,
            folder=Path(str(row[0])),
            contract=cast(Mapping[str, str | int | float | bool | None], row[1]),
            canaries=tuple(
                Canary(cast(Literal["query", "document"], role), str(text), tuple(cast(list[float], vector)))
                for role, text, vector in canaries
            ),
            run_id=str(row[2]) if row[2] else None,
        )

    def register(self, digest: str, registered: Registered) -> None:
        """Record where MLflow keeps a checkpoint."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "update {ops}.checkpoints set mlflow_run_id = %s, mlflow_model = %s, mlflow_version = %s, "
                    "mlflow_experiment = %s where digest = %s"
                ),
                (registered.run_id, registered.model, registered.version, registered.experiment, digest),
            )

    def registered(self, digest: str) -> Registered:
        """Return where MLflow keeps a checkpoint; all None when it is not tracked."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select mlflow_run_id, mlflow_model, mlflow_version, mlflow_experiment from "
                    "{ops}.checkpoints where digest = %s"
                ),
                (digest,),
            ).fetchone()
        return (
            Registered(*(str(value) if value is not None else None for value in row))
            if row
            else Registered(None, None, None)
        )

    def save_training(
        self, key: str, collection: str, space: str, *, training_set: str, base: str, checkpoint: str, result: Json
    ) -> None:
        """Remember what a key gave, so that it is never trained again."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "insert into {ops}.trainings (training_key, collection, space, training_set, "
                    "base, checkpoint, result) "
                    "values (%s, %s, %s, %s, %s, %s, %s) on conflict (training_key) do update "
                    "set checkpoint = excluded.checkpoint, result = excluded.result"
                ),
                (key, collection, space, training_set, base, checkpoint, Jsonb(dict(result))),
            )

    def training(self, key: str) -> tuple[str, Json] | None:
        """Return checkpoint digest and result of a known key."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose("select checkpoint, result from {ops}.trainings where training_key = %s"), (key,)
            ).fetchone()
        return (str(row[0]), cast(Json, row[1])) if row else None

    def set_encoder(self, collection: str, space: str, encoder: StoredEncoder) -> None:
        """Say which checkpoint a space uses next."""
        with self.database.connect() as connection:
            connection.execute(
                self.database.compose(
                    "insert into {ops}.encoders (collection, space, checkpoint, training_key, training_set) "
                    "values (%s, %s, %s, %s, %s) on conflict (collection, space) do update set "
                    "checkpoint = excluded.checkpoint, training_key = excluded.training_key, "
                    "training_set = excluded.training_set, updated_at = now()"
                ),
                (collection, space, encoder.checkpoint, encoder.training_key, encoder.training_set),
            )

    def encoder(self, collection: str, space: str) -> StoredEncoder | None:
        """Return the checkpoint that a space uses next."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select checkpoint, training_key, training_set from {ops}.encoders where "
                    "collection = %s and space = %s"
                ),
                (collection, space),
            ).fetchone()
        if row is None:
            return None
        return StoredEncoder(str(row[0]), str(row[1]) if row[1] else None, str(row[2]) if row[2] else None)
