"""Partial indexes of a generation in Postgres: graphs over the rows of one value of a filter column."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Literal, cast

import psycopg
from psycopg import sql

from vector_assets.index.partial import LEAST_ROWS, BuiltPartial, is_refused
from vector_assets.index.recall import Found
from vector_assets.index.size_planner import EF_CONSTRUCTION, LARGE_EF_CONSTRUCTION, LARGE_M, M, index_memory_mb
from vector_assets.records import Generation, Vectors
from vector_assets.spec import Collection
from vector_assets.spec.partial import PartialIndex
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import Database
from vector_assets.stores.index_asking import ask, asks_index
from vector_assets.stores.index_health import MAX_GROWN
from vector_assets.stores.index_making import NEW, IndexMaker, Log
from vector_assets.stores.indexes import index_name
from vector_assets.stores.relation import Relation
from vector_assets.stores.search_sql.conditions import column_types
from vector_assets.stores.search_sql.partial import partial_condition

Renewed = Literal["none", "grown", "all"]
_FEW = 1000  # rows; of fewer a page is a jump


class PartialIndexStore:
    """Implements index.partial.PartialIndexes for one generation."""

    def __init__(
        self, database: Database, collection: Collection, relation: Relation, generation: Generation,
        known: Sequence[Mapping[str, object]] = (),
    ) -> None:  # fmt: skip
        """Keep all; ``known`` is what was recorded of its partial indexes when they were measured."""
        self.database = database
        self.relation = relation
        self.generation = generation
        self.declared = collection.index
        self.indexes = tuple(
            each
            for each in collection.partial_indexes
            if each.field in generation.filters and generation.index_type == "hnsw"
        )
        self._known = {str(record["name"]): record for record in known}
        self._conditions: dict[PartialIndex, sql.Composable] = {}

    def build(self, *, renew: Renewed = "none", log: Log | None = None) -> tuple[BuiltPartial, ...]:
        """Build what is declared and missing, and drop what is declared no longer, beside readers and writers.

        ``renew`` builds all anew, or those that weigh 1.5 times what they weighed for a row. A build that was killed
        leaves nothing that is used. Raises DatabaseError when the server ends a build.
        """
        with self.database.connect(autocommit=True) as connection:
            maker = IndexMaker(self.database, connection, self.generation)
            there = self._there(connection)
            if not self.indexes and not there:
                return ()
            with maker.alone():
                wanted = {each.name(self.generation.table) for each in self.indexes}
                for name in sorted(there - wanted):
                    maker.drop(name)
                return tuple(self._built(maker, each, renew=renew, larger=False, log=log) for each in self.indexes)

    def enlarge(self, index: PartialIndex, *, log: Log | None = None) -> BuiltPartial:
        """Build one anew with more links, beside the one in use."""
        with self.database.connect(autocommit=True) as connection:
            maker = IndexMaker(self.database, connection, self.generation)
            with maker.alone():
                return self._built(maker, index, renew="none", larger=True, log=log)

    def drop(self, index: PartialIndex) -> None:
        """Drop one, beside readers and writers."""
        with self.database.connect(autocommit=True) as connection:
            maker = IndexMaker(self.database, connection, self.generation)
            with maker.alone():
                maker.drop(index.name(self.generation.table))

    def neighbours(self, index: PartialIndex, queries: Vectors, *, k: int, width: int | None) -> Found:
        """Return the exact distances of the k nearest of its rows, per query; an exact scan without a ``width``."""
        with self.database.connect() as connection:
            where = _with_values(self._condition(connection, index))
            return ask(connection, self._table, self.generation, queries, k=k, width=width, where=where)

    def is_chosen(self, index: PartialIndex, query: Vectors) -> bool:
        """Tell whether Postgres answers a filter of this value from this index; ``query`` is (dims,)."""
        with self.database.connect() as connection:
            where, name = _with_values(self._condition(connection, index)), index.name(self.generation.table)
            return asks_index(connection, self._table, self.generation, query, name=name, where=where)

    @property
    def _table(self) -> sql.Identifier:
        return self.database.names.table("embedding", self.generation.table)

    def _condition(self, connection: Connection, index: PartialIndex) -> sql.Composable:
        if index not in self._conditions:
            types = column_types(connection, self.relation)
            self._conditions[index] = sql.SQL(
                partial_condition(connection, self.database.names, index, types, alias="")[0]
            )
        return self._conditions[index]

    def _there(self, connection: Connection) -> set[str]:
        """Names of the generation's partial indexes, whatever state they are in; without ``_new``."""
        rows = connection.execute(
            "select c.relname from pg_index i join pg_class c on c.oid = i.indexrelid where i.indrelid = %s::regclass",
            (self._table.as_string(connection),),
        ).fetchall()
        pattern = re.compile(re.escape(self.generation.table) + rf"_p[0-9a-f]{{8}}({NEW})?")
        names = {str(row[0]) for row in rows if pattern.fullmatch(str(row[0]))}
        own = {each.name(self.generation.table) for each in self.indexes}
        return {name for name in names if name.removesuffix(NEW) not in own} | (names & own)

    def _built(
        self, maker: IndexMaker, index: PartialIndex, *, renew: Renewed, larger: bool, log: Log | None
    ) -> BuiltPartial:
        name = index.name(self.generation.table)
        maker.clean(name)
        try:
            where = self._condition(maker.connection, index)
            rows = self._count(maker.connection, where)
            if rows < LEAST_ROWS:
                maker.drop(name)
                few = f"none is needed: {rows:,} vectors are compared one by one (bound {LEAST_ROWS:,})"
                return BuiltPartial(index, name, rows, problem=few)
            known = self._known.get(name)
            if not larger and known and is_refused(known, self.declared, rows):
                maker.drop(name)
                return BuiltPartial(index, name, rows, problem=str(known["said"]), refused=known)
            # As large as it was, or as the whole index had to be.
            before = maker.options(name) or maker.options(index_name(self.generation))
            large = larger or before.get("m", M) >= LARGE_M
            options = {
                "m": LARGE_M if large else M,
                "ef_construction": LARGE_EF_CONSTRUCTION if large else EF_CONSTRUCTION,
            }
            memory = index_memory_mb(rows, self.generation.dims, precision=self.generation.precision, m=options["m"])
            anew = larger or renew == "all" or (renew == "grown" and self._has_grown(maker, name, rows))
            seconds = maker.make(name, options, memory_mb=memory, renew=anew, where=where, log=log)
        except (psycopg.DataError, psycopg.ProgrammingError) as error:  # no value of the column's type, or no operator
            maker.clean(name)
            return BuiltPartial(index, name, 0, problem=f"not built: {' '.join(str(error).split())}")
        size = maker.bytes(name)
        if seconds:
            said = "vector_assets " + json.dumps({"rows": rows, "bytes": size, **index.tree}, ensure_ascii=False)
            maker.connection.execute(
                sql.SQL("comment on index {} is {}").format(
                    self.database.names.table("embedding", name), sql.Literal(said)
                )
            )
        return BuiltPartial(index, name, rows, size, seconds, maker.options(name).get("m", M) >= LARGE_M)

    def _count(self, connection: Connection, where: sql.Composable) -> int:
        row = connection.execute(sql.SQL("select count(*) from {} where {}").format(self._table, where)).fetchone()
        assert row is not None
        return int(str(row[0]))

    def _has_grown(self, maker: IndexMaker, name: str, rows: int) -> bool:
        """Tell whether an index weighs much more for a row than when it was built: its comment says what that was."""
        row = maker.connection.execute(
            "select obj_description(to_regclass(%s), 'pg_class')",
            (self.database.names.table("embedding", name).as_string(maker.connection),),
        ).fetchone()
        said = str(row[0] or "") if row else ""
        if not said.startswith("vector_assets {") or rows < _FEW:
            return False
        then = cast(Mapping[str, object], json.loads(said.removeprefix("vector_assets ")))
        rows_then, bytes_then = int(str(then["rows"])), int(str(then["bytes"]))
        return rows_then >= _FEW and maker.bytes(name) / rows > MAX_GROWN * bytes_then / rows_then


def _with_values(condition: sql.Composable) -> sql.SQL:
    """A condition in a statement that is given values: what psycopg would take for a place of one is doubled."""
    return sql.SQL(condition.as_string(None).replace("%", "%%"))
