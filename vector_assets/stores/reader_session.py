"""One connection of the reader role, opened at the first question and kept."""

from __future__ import annotations

from typing import LiteralString, cast

import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql

from vector_assets.errors import DatabaseError, NotLive, UserError
from vector_assets.spec.field import FieldType
from vector_assets.stores.database import READER, Connection, Names
from vector_assets.stores.urls import DatabaseUrl

# What a function raises, or what is missing, when another generation went live or a column changed its type.
_MOVED = (
    psycopg.errors.ObjectNotInPrerequisiteState,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedTable,
)


class ReaderSession:
    """Asks as the reader, never as the writer."""

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

    def ask(
        self, query: LiteralString | sql.Composed, values: tuple[object, ...], *, binary: bool = False
    ) -> psycopg.Cursor[tuple[object, ...]]:
        """Ask a function of the SQL face; raises NotLive where it is not, or not any more, what was meant."""
        try:
            return self._run(query, values, binary=binary)
        except _MOVED as error:
            raise NotLive(" ".join(str(error).split("CONTEXT")[0].split())) from None
        except psycopg.errors.DataError as error:  # a filter that is none, a vector of another width
            raise UserError(" ".join(str(error.diag.message_primary).split())) from None
        except psycopg.errors.InsufficientPrivilege as error:
            role = READER if self.become else self.url.url.username
            raise DatabaseError(
                f"{role} may not search here: {error.diag.message_primary}; where the source has row-level security, "
                f"its owner lets a role read it: grant select on … to {role}"
            ) from None

    def keys(self, collection: str) -> list[str]:
        """The key's columns: what the search function returns before chunk_no."""
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

    def key_types(self, collection: str) -> dict[str, FieldType]:
        """The key's columns with the types that filters read their values by."""
        keys = self.keys(collection)
        rows = self._run(
            "select p.proargnames[a.place], t.typcategory::text from pg_proc p "
            "join pg_namespace n on n.oid = p.pronamespace "
            "cross join lateral unnest(p.proallargtypes) with ordinality a (type, place) "
            "join pg_type t on t.oid = a.type "
            "where n.nspname = %s and p.proname = %s and p.proargmodes[a.place] = 't'",
            (self.names.prefix + "search", collection),
        ).fetchall()
        families = {str(name): str(category) for name, category in rows}
        kinds: dict[str, FieldType] = {"N": "number", "D": "datetime"}
        return {name: kinds.get(families[name], "category") for name in keys}

    def _execute(self, text: str, values: tuple[object, ...]) -> psycopg.Cursor[tuple[object, ...]]:
        return self._run(self.names.compose(text), values)

    def _run(
        self, query: LiteralString | sql.Composed, values: tuple[object, ...], *, binary: bool = False
    ) -> psycopg.Cursor[tuple[object, ...]]:
        """Execute; a connection that the server has ended meanwhile is opened again, once."""
        connection = self._connect()
        try:
            return connection.execute(query, values, binary=binary)
        except psycopg.OperationalError:
            if not connection.closed:
                raise
            return self._connect().execute(query, values, binary=binary)

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


def identifier(name: str) -> sql.Identifier:
    """Quote a name inside a query with parameters, where a lone % would be a placeholder."""
    return sql.Identifier(name.replace("%", "%%"))
