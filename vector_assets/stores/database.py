"""Our database: the names of its schemas, and writers' connections to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from psycopg import sql

from vector_assets.stores.connections import Connection, lend
from vector_assets.stores.urls import DatabaseUrl

SCHEMAS = ("raw", "embedding", "search", "ops")
WRITER = "vector_assets_writer"
READER = "vector_assets_reader"


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
        """Lend a writer's connection with pinned settings; commit at the end, roll back on error."""
        with lend(self.url) as connection:
            connection.autocommit = autocommit
            yield connection

    def compose(self, text: str, **more: sql.Composable) -> sql.Composed:
        """Fill schema names into SQL of ours."""
        return self.names.compose(text, **more)
