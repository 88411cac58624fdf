"""What search may see, read as the reader role."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import psycopg
from pgvector import Vector
from psycopg import sql
from psycopg.types.json import Jsonb

from vector_assets.errors import NotFound, NotLive
from vector_assets.records import Canary, Checkpoint, Generation, Part, Value, Vectors
from vector_assets.records.calibration import Calibrated
from vector_assets.search.ask import FusionName
from vector_assets.search.filters import Filter
from vector_assets.search.hits import Hit, passage
from vector_assets.search.stored import Chosen
from vector_assets.source.keys import row_key
from vector_assets.stores.reader_session import Keys
from vector_assets.stores.reader_session import identifier as _identifier
from vector_assets.stores.reader_vectors import VectorSession

_logger = logging.getLogger(__name__)
_ADDED = ("embedded_at", "stale", "generation")  # columns of the view that are no fields


class Reader(VectorSession):
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

    def hits(
        self,
        generation: Generation,
        call: sql.Composed,
        values: Callable[[int], tuple[object, ...]],
        *,
        k: int,
        stamped: bool = True,
        parts: Sequence[str] = (),
    ) -> tuple[Hit, ...]:
        """Ask a function that returns keys and a score for ``k`` rows, and add the rows, the best first.

        ``values`` gives its parameters for a number of rows. A row that left the source is no hit though the next sync
        has yet to take its vector away: so many more are asked for in its place, then twice as many, until there are k.
        ``stamped`` says whether it returns its generation as well, and the chunk where there are chunks; ``parts``
        names columns with scores that the score was made of. Raises NotLive after a swap.
        """
        more = 0
        while True:
            hits, gone = self._hits(generation, call, values(k + more), stamped=stamped, parts=parts)
            if not gone or len(hits) >= k or len(hits) + gone < k + more:
                return hits[:k]
            more = max(gone, 2 * more)

    def _hits(
        self, generation: Generation, call: sql.Composed, values: tuple[object, ...], *, stamped: bool,
        parts: Sequence[str],
    ) -> tuple[tuple[Hit, ...], int]:  # fmt: skip
        """Return what a function finds, as hits, and how many rows of it have left the source."""
        known = self.known_keys(generation.collection)
        try:
            found = self._found(generation, known, call, values, stamped=stamped, parts=parts)
        except NotLive:
            if self.knows(generation.collection):
                raise
            found = None
        if found is None:  # the function was made anew since the key was looked up
            known = self.known_keys(generation.collection, fresh=True)
            found = self._found(generation, known, call, values, stamped=stamped, parts=parts)
        there = None if found is None else [(some, row) for some, row in found if row[known.names[0]] is not None]
        if there is None or any({some[1], row["generation"]} != {generation.number} for some, row in there):
            raise NotLive(
                f"collection {generation.collection}: another generation than {generation.number} went live "
                "while it was asked; ask again"
            )
        in_chunks = stamped and generation.chunked is not None
        hits = tuple(_hit(generation, some, row, known.names, in_chunks=in_chunks, parts=parts) for some, row in there)
        return hits, len(found or ()) - len(hits)

    def _found(
        self,
        generation: Generation,
        known: Keys,
        call: sql.Composed,
        values: tuple[object, ...],
        *,
        stamped: bool,
        parts: Sequence[str],
    ) -> list[tuple[tuple[object, ...], dict[str, object]]] | None:
        """Return what a function found, beside each its row; None where it is another function than was known.

        A row that left the source is there with nothing in its fields.
        """
        keys = known.names
        in_chunks = stamped and generation.chunked is not None
        query = sql.SQL(
            "select f.score, {generation}, {chunk}, {parts}, "
            "(select p.xmin::text from pg_proc p where p.oid = {function}), "
            "r.* from {call} f left join {view} r on {same} order by f.score desc, {order}"
        ).format(
            function=sql.Literal(known.function),
            generation=sql.SQL("f.generation" if stamped else "r.generation"),
            chunk=sql.SQL(
                "f.chunk_no, f.chunk_start, f.chunk_stop, f.chunk_digest" if in_chunks else "null, null, null, null"
            ),
            parts=sql.SQL("array[{}]::double precision[]").format(
                sql.SQL(", ").join(sql.SQL("f.{}").format(sql.Identifier(name)) for name in parts)
            ),
            call=call,
            view=self.names.table("search", generation.collection + "_rows"),
            same=sql.SQL(" and ").join(sql.SQL("f.{0} = r.{0}").format(_identifier(key)) for key in keys),
            order=sql.SQL(", ").join(sql.SQL("f.{}").format(_identifier(key)) for key in keys),
        )
        cursor = self.ask(query, values, prepare=True)
        names = [column.name for column in cursor.description or ()][8:]
        found = [(row[:8], dict(zip(names, row[8:], strict=True))) for row in cursor.fetchall()]
        return None if any(some[7] != known.version for some, _ in found) else found

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


def _hit(
    generation: Generation,
    values: tuple[object, ...],
    row: dict[str, object],
    keys: Sequence[str],
    *,
    in_chunks: bool,
    parts: Sequence[str],
) -> Hit:
    key = tuple(cast(list[str | int], [row[name] for name in keys]))
    fields = {name: cast(Value, value) for name, value in row.items() if name not in _ADDED}
    score, _, number, start, stop, digest, scores, _ = values
    chunk = None
    if in_chunks and number is not None and generation.chunked is not None:
        chunk = passage(
            generation.parts[generation.chunked], fields, number=cast(int, number), start=cast(int, start),
            stop=cast(int, stop), digest=cast(bytes, digest),
        )  # fmt: skip
    return Hit(
        id=str(key[0]) if len(key) == 1 else row_key(key),
        key=row_key(key),
        score=float(str(score)),
        row=fields,
        stale=bool(row["stale"]),
        chunk=chunk,
        parts={
            name: value
            for name, value in zip(parts, cast(list[float | None], scores), strict=True)
            if value is not None
        },
    )
