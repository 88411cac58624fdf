"""Training sets as they were drawn: their pairs, kept once, and which declaration drew them."""

from __future__ import annotations

import json
from typing import cast

from psycopg.types.json import Jsonb

from vector_assets.errors import NotFound
from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database


class TrainingSetStore:
    """Reads and writes training sets in ``ops``."""

    def __init__(self, database: Database) -> None:
        """Keep the database."""
        self.database = database

    def save(
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

    def get(self, digest: str) -> TrainingSet:
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

    def latest(self, collection: str, space: str, declaration: str) -> tuple[str, str] | None:
        """Return the digest of the newest snapshot of a declaration, and the version of the questions it leaves out."""
        with self.database.connect() as connection:
            row = connection.execute(
                self.database.compose(
                    "select training_set, questions from {ops}.training_draws "
                    "where collection = %s and space = %s and declaration = %s"
                ),
                (collection, space, declaration),
            ).fetchone()
        return (str(row[0]), str(row[1])) if row else None

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
