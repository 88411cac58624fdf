"""What search may see, read as the reader role."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import psycopg
from pgvector import Vector
from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.errors import NotFound, NotLive
from vector_assets.records import Canary, Checkpoint, Generation, Part, Vectors
from vector_assets.records.calibration import Calibrated
from vector_assets.search.ask import FusionName
from vector_assets.search.filters import Filter
from vector_assets.search.hits import Hit
from vector_assets.search.stored import Chosen
from vector_assets.stores.reader_hits import HitSession

_logger = logging.getLogger(__name__)


class Reader(HitSession):
    """Implements the SearchReader of search/engine.py."""

    def live(self, collection: str) -> Generation:
        """Return the live generation; raises NotLive when there is none."""
        row = self._execute(
            "select collection, generation, checkpoint_set, layout, dims, vector_type, metric, ef_search "
            "from {search}.live where collection = %s",
            (collection,),
        ).fetchone()
        if row is None:
            raise NotLive.nothing(collection)
        name, number, stamp, layout, dims, kind, metric, ef_search = row
        return Generation(
            collection=str(name),
            number=int(str(number)),
            state="live",
            checkpoint_set=str(stamp),
            parts=tuple(map(Part.of, cast(list[dict[str, object]], layout))),
            dims=int(str(dims)),
            vector_type=cast(Literal["vector", "halfvec"], kind),
            filters=(),
            metric=str(metric),
            ef_search=int(str(ef_search)) if ef_search is not None else None,
        )

    def checkpoint(self, digest: str) -> Checkpoint:
        """Return a checkpoint's folder, contract and canaries; raises NotFound."""
        row = self._execute("select folder, contract from {search}.checkpoints where digest = %s", (digest,)).fetchone()
        if row is None:
            raise NotFound(f"checkpoint {digest[:12]} is not known to this database")
        canaries = self._execute(
            "select role, input, vector from {search}.canaries where checkpoint = %s order by item", (digest,)
        ).fetchall()
        return Checkpoint(
            digest,
            Path(str(row[0])),
            cast(Mapping[str, str | int | float | bool | None], row[1]),
            tuple(
                Canary(cast(Literal["query", "document"], role), str(text), tuple(cast(list[float], vector)))
                for role, text, vector in canaries
            ),
        )

    def calibrations(self, generation: Generation) -> Mapping[str, Calibrated]:
        """Return what is calibrated of a generation that is live, by the name of what scores."""
        rows = self._execute(
            "select method, calibration from {search}.calibrations where collection = %s and generation = %s",
            (generation.collection, generation.number),
        ).fetchall()
        return {str(method): Calibrated.of(cast(Mapping[str, object], found)) for method, found in rows}

    def search(
        self, generation: Generation, vector: Vectors, *, k: int, exact: bool, filter: Filter | None = None
    ) -> tuple[Hit, ...]:
        """Ask the generation's function for the k nearest and add the rows; raises NotLive after a swap."""
        call = sql.SQL("{}(%s, %s, %s, %s, %s)").format(self.names.table("search", generation.collection))
        asked, wanted = Vector(vector), filter and Jsonb(filter)
        return self.hits(generation, call, lambda rows: (asked, rows, generation.checkpoint_set, exact, wanted), k=k)

    def chosen(self, generation: Generation, rows: tuple[Chosen, ...]) -> tuple[Hit, ...]:
        """Return rows as hits, by falling score, without those that left the source; raises NotLive after a swap."""
        call, values = self.chosen_rows(generation, rows)
        hits, _ = self._hits(generation, call, values, stamped=True, parts=("vector_score",))
        return hits

    def bm25(self, generation: Generation, question: str, *, k: int, filter: Filter | None = None) -> tuple[Hit, ...]:
        """Ask the index of words for the k best rows and add the rows; raises NotFound where there is no index."""
        call = sql.SQL("{}(%s, %s, %s)").format(self.names.table("search", generation.collection + "_bm25"))
        try:
            wanted = filter and Jsonb(filter)
            return self.hits(generation, call, lambda rows: (question, rows, wanted), k=k, stamped=False)
        except NotLive:
            if self._has(generation.collection + "_bm25"):
                raise
            raise NotFound(
                f"collection {generation.collection} has no index of words to search by bm25; declare lexical: "
                f"[fields] and run vector-assets materialize {generation.collection}"
            ) from None

    def hybrid(
        self, generation: Generation, vector: Vectors, words: str, *, k: int, fusion: FusionName,
        filter: Filter | None = None,
    ) -> tuple[Hit, ...]:  # fmt: skip
        """Ask vectors and words in one statement and add the rows; raises NotFound where there is no index of words."""
        function = generation.collection + "_hybrid"
        call = sql.SQL("{}(%s, %s, %s, %s, %s, %s)").format(self.names.table("search", function))
        asked, wanted, stamp = Vector(vector), filter and Jsonb(filter), generation.checkpoint_set

        def values(rows: int) -> tuple[object, ...]:
            return asked, words, rows, stamp, fusion, wanted

        try:
            found = self.hits(generation, call, values, k=k, parts=("vector_score", "bm25_score"))
        except NotLive:
            if self._has(function):
                raise
            raise NotFound(
                f"collection {generation.collection} has no index of words to search by hybrid; declare lexical: "
                f"[fields] and run vector-assets materialize {generation.collection}"
            ) from None
        return tuple(
            replace(hit, parts={name.removesuffix("_score"): score for name, score in hit.parts.items()})
            for hit in found
        )

    def _has(self, function: str) -> bool:
        row = self._execute(
            "select from pg_proc p join pg_namespace n on n.oid = p.pronamespace where n.nspname = %s "
            "and p.proname = %s",
            (self.names.prefix + "search", function),
        ).fetchone()
        return row is not None

    def record(self, collection: str, question: str) -> None:
        """Note a question where its collection keeps some (evaluation.shadow). What goes wrong stops no search."""
        try:
            connection = self._connect()
            with connection.transaction():
                connection.execute("set transaction read write")
                connection.execute(self.names.compose("select {search}._record_query(%s, %s)"), (collection, question))
        except psycopg.Error as error:  # a standby takes no notes, and a role of the user's own may not
            _logger.warning("the question was not noted: %s", " ".join(str(error).split()))
