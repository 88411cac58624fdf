"""Connections to our database, with pinned session settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap

from vector_assets.errors import DatabaseError
from vector_assets.stores.urls import DatabaseUrl

Connection = psycopg.Connection[tuple[object, ...]]

SCHEMAS = ("raw", "embedding", "search", "ops")
WRITER = "vector_assets_writer"
READER = "vector_assets_reader"
# A digest is the hash of a row's text in JSON; whatever changes that text must not depend on the session.
PINNED = (
    "-c timezone=UTC -c datestyle=ISO,YMD -c extra_float_digits=1 -c bytea_output=hex -c intervalstyle=postgres "
    "-c row_security=off -c client_min_messages=warning"
)


@dataclass(frozen=True, slots=True)
class Names:
    """Our schemas' names; a prefix keeps several installations apart on one server."""

    prefix: str = ""

    def schema(self, name: str) -> sql.Identifier:
        """Return one of our schemas as a quoted identifier."""
        return sql.Identifier(self.prefix + name)

    def table(self, schema: str, name: str) -> sql.Identifier:
        """Return a table in one of our schemas."""
        return sql.Identifier(self.prefix + schema, name)

    def compose(self, text: str, **more: sql.Composable) -> sql.Composed:
        """Fill ``{raw}``, ``{embedding}``, ``{search}``, ``{ops}`` and ``more`` into SQL of ours."""
        return sql.SQL(text).format(**{name: self.schema(name) for name in SCHEMAS}, **more)


@dataclass(frozen=True, slots=True)
class Database:
    """Our database. Writers connect through it; search has a reader of its own (stores/reader.py)."""

    url: DatabaseUrl
    names: Names

    @contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[Connection]:
        """Open a writer's connection with pinned settings; commit at the end, roll back on error."""
        known = _ADAPTERS.get(self.url.libpq)
        with open_connection(self.url, options=PINNED, autocommit=True, context=known) as connection:
            row = connection.execute("select to_regtype('vector')::oid::bigint").fetchone()
            oid = row[0] if row else None
            if known is None or known.oid != oid:
                register_vector(connection)
                _ADAPTERS[self.url.libpq] = _Adapters(oid, AdaptersMap(connection.adapters))
            connection.autocommit = autocommit
            yield connection

    def compose(self, text: str, **more: sql.Composable) -> sql.Composed:
        """Fill schema names into SQL of ours."""
        return self.names.compose(text, **more)


@dataclass(frozen=True, slots=True)
class _Adapters:
    """How pgvector's types are read and written, while they have the numbers that they had when it was asked."""

    oid: object
    adapters: AdaptersMap
    connection: psycopg.BaseConnection[object] | None = None


# By URL, for the life of the process: to ask for four types takes as long as to connect, and both are done often.
_ADAPTERS: dict[str, _Adapters] = {}


@contextmanager
def open_connection(
    url: DatabaseUrl, *, options: str, autocommit: bool = False, context: AdaptContext | None = None
) -> Iterator[Connection]:
    """Connect or raise DatabaseError with one line; keeps ``options`` that the URL already has."""
    given = str(url.url.query.get("options", ""))
    try:
        connection: Connection = psycopg.connect(
            url.libpq, options=f"{given} {options}".strip(), autocommit=autocommit, connect_timeout=10, context=context
        )
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(
            f"Postgres at {url.shown} cannot be reached: {reason}; start it or correct the URL"
        ) from None
    with connection:
        yield connection
