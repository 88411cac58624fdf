"""Connections to Postgres: opened with pinned settings, and lent again where one was given back whole.

To open one takes longer than most of what is asked through it: a process, its caches, a password's hash, TLS. The pool
is SQLAlchemy's; what is lent is psycopg's connection itself.
"""

from __future__ import annotations

import atexit
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from pgvector.psycopg import register_vector
from psycopg.abc import AdaptContext
from psycopg.adapt import AdaptersMap
from sqlalchemy import event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from vector_assets.errors import DatabaseError
from vector_assets.stores.urls import DatabaseUrl

Connection = psycopg.Connection[tuple[object, ...]]

# A digest is the hash of a row's text in JSON; whatever changes that text must not depend on the session.
PINNED = (
    "-c timezone=UTC -c datestyle=ISO,YMD -c extra_float_digits=1 -c bytea_output=hex -c intervalstyle=postgres "
    "-c row_security=off -c client_min_messages=warning"
)
# The parts of ``discard all``, which psycopg does not always notice: it has to forget what was prepared as well. And
# what a process at its end tells of the rows it wrote: whether an index is worn is read from these counts.
_SESSION = (
    "set session authorization default; reset all; deallocate all; close all; unlisten *; "
    "select pg_advisory_unlock_all(); discard plans; discard temp; discard sequences; select pg_stat_force_next_flush()"
)
#: Connections that wait to be lent again, per process and URL. A sync uses two at once.
KEPT = 3
#: One that waited longer is not trusted: what lies between may have dropped it without a word.
IDLE_SECONDS = 30.0
#: One that is older is replaced: its process remembers each table that it ever saw.
LIFE_SECONDS = 600


@contextmanager
def lend(url: DatabaseUrl) -> Iterator[Connection]:
    """Lend a writer's connection, with pgvector's types known, in autocommit; it is closed on an error.

    Given back it forgets all that was set, locked, prepared or left in temporary tables. Raises DatabaseError where
    Postgres cannot be reached.
    """
    lent = _pool(url).connect()
    connection = cast("Connection", lent.dbapi_connection)
    whole = False
    try:
        yield connection
        if not connection.closed:
            connection.commit()
        with suppress(psycopg.Error):  # what was asked for is done
            _forget(connection)
            whole = True
    finally:
        if whole:
            lent.close()
        else:
            lent.invalidate()  # closes it: a transaction, a stream or a cursor may be open


def _forget(connection: Connection) -> None:
    connection.isolation_level = connection.read_only = connection.deferrable = None
    connection.autocommit = True
    connection.execute(_SESSION, prepare=False)


@contextmanager
def open_connection(url: DatabaseUrl) -> Iterator[Connection]:
    """Connect for this block alone; commit at its end, roll back on error. DatabaseError as with ``lend``."""
    with _opened(url, autocommit=False) as connection:
        yield connection


@dataclass(frozen=True, slots=True)
class _Adapters:
    """How pgvector's types are read and written, while they have the numbers that they had when it was asked."""

    oid: object
    adapters: AdaptersMap
    connection: psycopg.BaseConnection[object] | None = None


# By URL, for the life of the process: to ask for four types takes as long as to connect.
_ADAPTERS: dict[str, _Adapters] = {}
_POOLS: dict[str, QueuePool] = {}


def _pool(url: DatabaseUrl) -> QueuePool:
    if (found := _POOLS.get(url.libpq)) is not None:
        return found

    def create(rec: ConnectionPoolEntry) -> Any:  # noqa: ANN401 - SQLAlchemy's own type of a connection
        known = _ADAPTERS.get(url.libpq)
        connection = _opened(url, autocommit=True, context=known)
        try:
            oid = rec.info["vector"] = _vector_type(connection)
            if known is None or known.oid != oid:
                register_vector(connection)
                _ADAPTERS[url.libpq] = _Adapters(oid, AdaptersMap(connection.adapters))
        except BaseException:
            connection.close()
            raise
        return connection

    made = QueuePool(create, pool_size=KEPT, max_overflow=-1, recycle=LIFE_SECONDS, use_lifo=True)
    event.listen(made, "checkin", _waits)
    event.listen(made, "checkout", _trusted)
    return _POOLS.setdefault(url.libpq, made)


def _vector_type(connection: Connection) -> object:
    row = connection.execute("select to_regtype('vector')::oid::bigint", prepare=False).fetchone()
    return row[0] if row else None


def _waits(_: object, record: ConnectionPoolEntry) -> None:
    record.info["since"] = time.monotonic()


def _trusted(given: object, record: ConnectionPoolEntry, _: object) -> None:
    """Refuse a connection that waited too long, was cut, or knows pgvector's types by other numbers; all that wait."""
    since = record.info.get("since")
    if since is None:
        return  # opened a moment ago
    with suppress(psycopg.Error):
        waited = time.monotonic() - since
        if waited < IDLE_SECONDS and _vector_type(cast("Connection", given)) == record.info["vector"]:
            return
    raise InvalidatePoolError


def _opened(url: DatabaseUrl, *, autocommit: bool, context: AdaptContext | None = None) -> Connection:
    """Connect, or raise DatabaseError with one line; keeps options that the URL already has."""
    options = f"{url.url.query.get('options', '')} {PINNED}".strip()
    try:
        return psycopg.connect(url.libpq, options=options, autocommit=autocommit, connect_timeout=10, context=context)
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(
            f"Postgres at {url.shown} cannot be reached: {reason}; start it or correct the URL"
        ) from None


@atexit.register
def close_all() -> None:
    """Close what waits, as at the end of the process."""
    for pool in _POOLS.values():
        pool.dispose()
    _POOLS.clear()


os.register_at_fork(after_in_child=_POOLS.clear)  # a child that used its parent's would end them
