"""What a function of the SQL face finds, as hits with their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from psycopg import sql

from vector_assets.errors import NotLive
from vector_assets.records import Generation, Value
from vector_assets.search.hits import Hit, passage
from vector_assets.source.keys import row_key
from vector_assets.stores.reader_session import Keys, identifier
from vector_assets.stores.reader_vectors import VectorSession

_ADDED = ("embedded_at", "stale", "generation")  # columns of the view that are no fields


class HitSession(VectorSession):
    """Adds to what a function returns the rows of the view, in the same statement."""

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
            same=sql.SQL(" and ").join(sql.SQL("f.{0} = r.{0}").format(identifier(key)) for key in keys),
            order=sql.SQL(", ").join(sql.SQL("f.{}").format(identifier(key)) for key in keys),
        )
        cursor = self.ask(query, values, prepare=True)
        names = [column.name for column in cursor.description or ()][8:]
        found = [(row[:8], dict(zip(names, row[8:], strict=True))) for row in cursor.fetchall()]
        return None if any(some[7] != known.version for some, _ in found) else found


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
