"""One vector index of a generation: made under its name or beside it, put in its place, cleaned up after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import psycopg
from psycopg import sql

from vector_assets.errors import DatabaseError
from vector_assets.records import Generation
from vector_assets.runtime.machine import machine
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.index_progress import told
from vector_assets.stores.search_sql.nearest import indexed

Log = Callable[[str], None]
NEW = "_new"  # what the name of an index ends in until it takes the place of the one in use
_WAIT = 0.5  # seconds between two looks whether another build of the same generation has ended


class IndexMaker:
    """Makes vector indexes of a generation over one connection, which commits by itself."""

    def __init__(self, database: Database, connection: Connection, generation: Generation) -> None:
        """Keep all three."""
        self.database = database
        self.connection = connection
        self.generation = generation

    def make(
        self, name: str, options: Mapping[str, int], *, memory_mb: int, renew: bool = False,
        where: sql.Composable | None = None, log: Log | None = None,
    ) -> float:  # fmt: skip
        """Make an index where it is missing, or anew; return its seconds, 0 when it was there.

        On a live generation, and where there is one in use, it is built beside readers and writers. ``where`` is a
        condition over the table's columns: only rows for which it holds are in the index. Raises DatabaseError when the
        server ends the build.
        """
        there = self.valid(name) is not None
        if there and not renew:
            return 0.0
        self._size_session(memory_mb)
        started = time.perf_counter()
        beside = self.generation.state == "live" or there
        self._create(name + NEW if there else name, options, beside=beside, where=where, log=log)
        if there:
            self.drop(name)
            self._rename(name + NEW, name)
        return time.perf_counter() - started

    def clean(self, name: str) -> None:
        """Drop what killed builds left; a new index that only waits for its name is given it."""
        if self.valid(name) is False:
            self.drop(name)
        ready = self.valid(name + NEW)
        if ready and self.valid(name) is None:
            self._rename(name + NEW, name)
        elif ready is not None:
            self.drop(name + NEW)

    def drop(self, name: str) -> None:
        """Drop an index beside readers and writers."""
        self.connection.execute(sql.SQL("drop index concurrently if exists {}").format(self._index(name)))

    def valid(self, name: str) -> bool | None:
        """Whether an index may be used; None where there is none of that name."""
        row = self.connection.execute(
            "select i.indisvalid and i.indisready from pg_index i where i.indexrelid = to_regclass(%s)",
            (self._regclass(name),),
        ).fetchone()
        return bool(row[0]) if row else None

    def bytes(self, name: str) -> int:
        """Its size on disk."""
        row = self.connection.execute("select pg_relation_size(to_regclass(%s))", (self._regclass(name),)).fetchone()
        return int(str(row[0] or 0)) if row else 0

    def options(self, name: str) -> dict[str, int]:
        """What it was built with."""
        row = self.connection.execute(
            "select reloptions from pg_class where oid = to_regclass(%s)", (self._regclass(name),)
        ).fetchone()
        pairs = [str(each).split("=") for each in (row[0] or []) if row] if row else []  # type: ignore[attr-defined]
        return {key: int(value) for key, value in pairs}

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One build at a time. Asked again and again: who waits in Postgres is waited for by a concurrent build."""
        connection, what = self.connection, (f"index/{self.generation.table}",)
        while True:
            row = connection.execute("select pg_try_advisory_lock(hashtextextended(%s, 5))", what).fetchone()
            if row and row[0]:
                break
            time.sleep(_WAIT)
        try:
            yield
        finally:
            if not connection.closed:
                connection.execute("select pg_advisory_unlock(hashtextextended(%s, 5))", what)

    def _create(
        self, name: str, options: Mapping[str, int], *, beside: bool, where: sql.Composable | None, log: Log | None
    ) -> None:
        generation = self.generation
        given = [sql.SQL("{} = {}").format(sql.Identifier(key), sql.Literal(value)) for key, value in options.items()]
        statement = sql.SQL("create index {} {} on {} using {} ({}) with ({}){}").format(
            sql.SQL("concurrently" if beside else ""), sql.Identifier(name),
            self.database.names.table("embedding", generation.table), sql.SQL(generation.index_type),
            indexed(generation), sql.SQL(", ").join(given),
            sql.SQL(" where {}").format(where) if where else sql.SQL(""),
        )  # fmt: skip
        try:
            with told(self.database, self.connection.info.backend_pid, log):
                self.connection.execute(statement)
        except psycopg.OperationalError as error:
            raise DatabaseError(
                f"the index of {generation.collection}, generation {generation.number}, was not built: "
                f"{' '.join(str(error).split())}; run it again, what is left of it is cleaned up then"
            ) from None

    def _rename(self, old: str, new: str) -> None:
        self.connection.execute(sql.SQL("alter index {} rename to {}").format(self._index(old), sql.Identifier(new)))

    def _size_session(self, memory_mb: int) -> None:
        self.connection.execute(sql.SQL("set maintenance_work_mem = {}").format(sql.Literal(f"{memory_mb}MB")))
        workers = max(0, min(machine().cores - 1, 4))
        self.connection.execute(sql.SQL("set max_parallel_maintenance_workers = {}").format(sql.Literal(workers)))

    def _index(self, name: str) -> sql.Identifier:
        return self.database.names.table("embedding", name)

    def _regclass(self, name: str) -> str:
        return self._index(name).as_string(self.connection)
