"""What search may see: connects as the reader, never as the writer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, LiteralString, cast

import psycopg
from pgvector import Vector
from pgvector.psycopg import register_vector
from psycopg import sql

from vector_assets.errors import DatabaseError, NotFound, NotLive
from vector_assets.records import Canary, Checkpoint, Generation, Part, Value, Vectors
from vector_assets.search.engine import Hit, passage
from vector_assets.source.keys import row_key
from vector_assets.stores.database import READER, Connection, Names
from vector_assets.stores.urls import DatabaseUrl

_logger = logging.getLogger(__name__)
_CHUNK: LiteralString = "f.chunk_no, f.chunk_start, f.chunk_stop, f.chunk_digest"


class Reader:
    """One connection of the reader role, opened at the first question and kept."""

    def __init__(self, url: DatabaseUrl, names: Names, *, become: bool) -> None:
        """``become`` says that the URL's user must turn into the reader; else the URL names the reader itself."""
        self.url = url
        self.names = names
        self.become = become
        self._connection: Connection | None = None

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def live(self, collection: str) -> Generation:
        """Return the live generation; raises NotLive when there is none."""
        row = self._execute(
            "select collection, generation, checkpoint_set, layout, dims, vector_type, metric, ef_search "
            "from {search}.live where collection = %s",
            (collection,),
        ).fetchone()
        if row is None:
            raise NotLive(f"collection {collection} has no live generation; run vector-assets materialize {collection}")
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

    def search(self, generation: Generation, vector: Vectors, *, k: int, exact: bool) -> tuple[Hit, ...]:
        """Ask the generation's function for the k nearest and add the rows; raises NotLive after a swap."""
        keys = self._keys(generation.collection)
        query = self.names.compose(
            "select f.score, f.generation, {chunk}, r.* from {function}(%s, %s, %s, %s) f join {view} r on {same} "
            "order by f.score desc, {order}",
            chunk=sql.SQL(_CHUNK if generation.chunked is not None else "null, null, null, null"),
            function=self.names.table("search", generation.collection),
            view=self.names.table("search", generation.collection + "_rows"),
            same=sql.SQL(" and ").join(sql.SQL("f.{0} = r.{0}").format(_identifier(key)) for key in keys),
            order=sql.SQL(", ").join(sql.SQL("f.{}").format(_identifier(key)) for key in keys),
        )
        try:
            cursor = self._run(query, (Vector(vector), k, generation.checkpoint_set, exact))
        except (
            psycopg.errors.ObjectNotInPrerequisiteState,
            psycopg.errors.UndefinedFunction,
            psycopg.errors.UndefinedTable,  # a column changed its type, and the index stage has yet to follow
        ) as error:
            raise NotLive(" ".join(str(error).split("CONTEXT")[0].split())) from None
        names = [column.name for column in cursor.description or ()][6:]
        found = [(row[:6], dict(zip(names, row[6:], strict=True))) for row in cursor.fetchall()]
        for (_, asked, *_), row in found:
            if {asked, row["generation"]} != {generation.number}:
                raise NotLive(
                    f"collection {generation.collection}: another generation than {generation.number} went live "
                    "while it was asked; ask again"
                )
        return tuple(_hit(generation, values, row, keys) for values, row in found)

    def record(self, collection: str, question: str) -> None:
        """Note a question where its collection keeps some (evaluation.shadow). What goes wrong stops no search."""
        try:
            connection = self._connect()
            with connection.transaction():
                connection.execute("set transaction read write")
                connection.execute(self.names.compose("select {search}._record_query(%s, %s)"), (collection, question))
        except psycopg.Error as error:  # a standby takes no notes, and a role of the user's own may not
            _logger.warning("the question was not noted: %s", " ".join(str(error).split()))

    def _keys(self, collection: str) -> list[str]:
        """The key's columns: what the function returns before chunk_no."""
        row = self._run(
            "select p.proargnames::text[], p.proargmodes::text[] from pg_proc p "
            "join pg_namespace n on n.oid = p.pronamespace where n.nspname = %s and p.proname = %s",
            (self.names.prefix + "search", collection),
        ).fetchone()
        if row is None:
            raise NotLive(f"collection {collection} has no live generation; run vector-assets materialize {collection}")
        names, modes = cast(list[str], row[0]), cast(list[str], row[1])
        out = [name for name, mode in zip(names, modes, strict=True) if mode == "t"]
        return out[: out.index("chunk_no")]

    def _execute(self, text: str, values: tuple[object, ...]) -> psycopg.Cursor[tuple[object, ...]]:
        return self._run(self.names.compose(text), values)

    def _run(
        self, query: LiteralString | sql.Composed, values: tuple[object, ...]
    ) -> psycopg.Cursor[tuple[object, ...]]:
        """Execute; a connection that the server has ended meanwhile is opened again, once."""
        connection = self._connect()
        try:
            return connection.execute(query, values)
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            return self._connect().execute(query, values)

    def _connect(self) -> Connection:
        if self._connection is None or self._connection.closed:
            options = "-c timezone=UTC -c default_transaction_read_only=on"
            try:
                # Nothing is prepared: a plan of the view's columns would outlive them.
                connection: Connection = psycopg.connect(
                    self.url.libpq, options=options, autocommit=True, connect_timeout=10, prepare_threshold=None
                )
                if self.become:
                    connection.execute(sql.SQL("set role {}").format(sql.Identifier(READER)))
            except (
                psycopg.OperationalError,
                psycopg.errors.InsufficientPrivilege,
                psycopg.errors.UndefinedObject,
            ) as error:
                reason = " ".join(str(error).split())
                raise DatabaseError(
                    f"search cannot connect as {READER} to {self.url.shown}: {reason}; see doctor"
                ) from None
            register_vector(connection)
            self._connection = connection
        return self._connection


def _identifier(name: str) -> sql.Identifier:
    """Quote a name inside a query with parameters, where a lone % would be a placeholder."""
    return sql.Identifier(name.replace("%", "%%"))


def _hit(generation: Generation, values: tuple[object, ...], row: dict[str, object], keys: list[str]) -> Hit:
    key = tuple(cast(list[str | int], [row[name] for name in keys]))
    fields = {
        name: cast(Value, value) for name, value in row.items() if name not in ("embedded_at", "stale", "generation")
    }
    score, _, number, start, stop, digest = values
    chunk = None
    if generation.chunked is not None:
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
    )
