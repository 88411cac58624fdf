"""A queue that is a table in Postgres: rows are locked while they are applied, and deleted when that is committed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from vector_assets.errors import SourceError
from vector_assets.source.messages import Message
from vector_assets.source.secrets import without_secrets

_SCHEME = re.compile(r"^postgres(?:ql)?(?:\+\w+)?://")
_TABLE = "create table {} (position bigint generated always as identity primary key, message jsonb not null)"


class TableQueue:
    """Messages of a table with the columns ``position`` (growing, unique) and ``message`` (json, jsonb or text).

    ``for update skip locked``: consumers do not wait for each other, and what one that died had taken is free again.
    """

    def __init__(self, url: str, table: str) -> None:
        """Connect. Raises SourceError where the server cannot be reached or the table is no queue."""
        self._url, self._name = url, table
        schema, _, name = table.rpartition(".")
        self._table = sql.Identifier(schema, name) if schema else sql.Identifier(name)
        with self._said():
            self._connection = psycopg.connect(_SCHEME.sub("postgresql://", url), connect_timeout=10)
        try:
            self._check()
        except SourceError:
            self._connection.close()
            raise

    def take(self, count: int) -> list[Message]:
        """Lock the next messages that nobody else has, in the order of their position."""
        query = sql.SQL(
            "select position, message::text from {} order by position limit {} for update skip locked"
        ).format(self._table, sql.Literal(count))
        with self._said():
            rows = self._connection.execute(query).fetchall()
        return [Message(str(body), int(position), int(position)) for position, body in rows]

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Delete messages and release the locks."""
        query = sql.SQL("delete from {} where position = any(%s)").format(self._table)
        with self._said():
            self._connection.execute(query, ([message.position for message in messages],))
            self._connection.commit()

    def waiting(self) -> int:
        """Return how many messages there are, up to 10,000."""
        query = sql.SQL("select count(*) from (select from {} limit 10000) queued").format(self._table)
        with self._said():
            row = self._connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def close(self) -> None:
        """Release what was taken and not acknowledged."""
        self._connection.close()

    def _check(self) -> None:
        """Ask for the columns once, so that what is wrong is said in our words."""
        query = sql.SQL("select position, message from {} limit 0").format(self._table)
        try:
            self._connection.execute(query)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.UndefinedColumn):
            raise SourceError(
                f"queue {self._name}: no table with position and message; expected one: {_TABLE.format(self._name)}"
            ) from None
        except psycopg.Error as error:
            raise SourceError(f"queue {self._name}: {without_secrets(str(error), self._url)}") from None
        self._connection.rollback()

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise SourceError(
                f"queue {self._name}: Postgres cannot be read: {without_secrets(str(error), self._url)}"
            ) from None
