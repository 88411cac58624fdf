"""Checkpoints, training sets and trainings: what was learned from what, and the key that finds it again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from psycopg.types.json import Jsonb

from vector_assets.errors import NotFound
from vector_assets.records import Canary, Checkpoint, Pair, SplitName, TrainingSet
from vector_assets.stores.database import Connection, Database

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
    """Reads and writes checkpoints, canaries, training sets and trainings in ``ops``."""

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

    def save_training_set(
        self,
        collection: str,
        space: str,
        declaration: str,
        training_set: TrainingSet,
        *,
        questions: str = "",
        anew: bool = True,
    ) -> None:
        """Keep a snapshot of pairs, and that this declaration drew it; the same pairs are kept once.

        ``questions`` is the version of those that it must not ask, "" where there are none. Not ``anew`` is what was
        drawn before and is now without some pairs: its rows are as old as they were.
        """
        with self.database.connect() as connection:
            added = connection.execute(
                self.database.compose(
                    "insert into {ops}.training_sets (digest, report) values (%s, %s) on conflict do nothing"
                ),
                (training_set.digest, Jsonb(dict(training_set.report))),
            ).rowcount
            if added:
                with (
                    connection.cursor() as cursor,
                    cursor.copy(
                        self.database.compose(
                            "copy {ops}.training_pairs (training_set, item, query, document, "
                            "pair_group, split, row_key, label, negatives, weight) from stdin"
                        )
                    ) as copy,
                ):
                    for number, pair in enumerate(training_set.pairs):
                        row = (pair.query, pair.document, pair.group, pair.split, pair.key, pair.label)
                        copy.write_row((training_set.digest, number, *row, list(pair.negatives), pair.weight))
            else:  # the same pairs; what was left out beside them is what it is now
                connection.execute(
                    self.database.compose("update {ops}.training_sets set report = %s where digest = %s"),
                    (Jsonb(dict(training_set.report)), training_set.digest),
                )
            connection.execute(
                self.database.compose(
                    "insert into {ops}.training_draws (collection, space, declaration, training_set, questions) "
                    "values (%s, %s, %s, %s, %s) on conflict (collection, space, declaration) do update "
                    "set training_set = excluded.training_set, questions = excluded.questions, "
                    "drawn_at = case when %s then now() else training_draws.drawn_at end"
                ),
                (collection, space, declaration, training_set.digest, questions, anew),
            )

    def training_set(self, digest: str) -> TrainingSet:
        """Return a snapshot; raises NotFound."""
        with self.database.connect() as connection:
            head = connection.execute(
                self.database.compose("select report from {ops}.training_sets where digest = %s"), (digest,)
            ).fetchone()
            if head is None:
                raise NotFound(f"no training set {digest[:12]} is known; materialize it")
            pairs = self._pairs(connection, digest)
        report = json.loads(head[0]) if isinstance(head[0], str) else cast(dict[str, float], head[0])
        return TrainingSet(digest, pairs, report)

    def latest_training_set(self, collection: str, space: str, declaration: str) -> str | None:
        """Return the digest of the newest snapshot that this declaration drew."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select training_set from {ops}.training_draws "
                    "where collection = %s and space = %s and declaration = %s"
                ),
                (collection, space, declaration),
            ).fetchone()
        return str(row[0]) if row else None

    def questions_left_out(self, collection: str, space: str, declaration: str) -> str:
        """Return the version of the questions that the newest snapshot of a declaration does not ask."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select questions from {ops}.training_draws where collection = %s and space = %s "
                    "and declaration = %s"
                ),
                (collection, space, declaration),
            ).fetchone()
        return str(row[0]) if row else ""

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

    def _pairs(self, connection: Connection, digest: str) -> tuple[Pair, ...]:
        rows = connection.execute(
            self.database.compose(
                "select query, document, pair_group, split, row_key, label, negatives, weight "
                "from {ops}.training_pairs where training_set = %s order by item"
            ),
            (digest,),
        ).fetchall()
        return tuple(
            Pair(str(q), str(d), str(g), cast(SplitName, s), str(k), str(x), tuple(cast(list[str], n)), float(str(w)))
            for q, d, g, s, k, x, n, w in rows
        )
