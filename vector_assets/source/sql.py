"""Rows of a query on any database that SQLAlchemy reaches, streamed in batches; with a cursor only what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import quoted_name

from vector_assets.errors import SourceError
from vector_assets.records import BadRow, Key, KeyColumn, RawRow
from vector_assets.source import positions
from vector_assets.source.formats import bad_row
from vector_assets.source.keys import row_key
from vector_assets.source.sql_connection import FILES, connected, read_url
from vector_assets.source.storable import is_storable
from vector_assets.source.values import WrongValue, convert, found, plain, shown
from vector_assets.spec.collection import Collection
from vector_assets.spec.source import SqlSource

_VERSION = 1
#: Keys that are looked up by one statement.
_LOOKED_UP = 500


class SqlReader:
    """Reads the rows of an ``sql`` source; memory is bounded by ``source.batch``.

    A value of a wrong type makes its row a BadRow that keeps its key. A null id ends the reading.
    """

    def __init__(self, collection: Collection, source: SqlSource) -> None:
        self._collection = collection
        self._source = source
        self._fields = collection.fields
        self._highest: object = None
        self._checked = False

    @cached_property
    def key(self) -> tuple[KeyColumn, ...]:
        """One column named by ``source.id``: bigint where the first row's is a whole number, else text."""
        column = self._rows.c[self._source.id]
        with connected(self._url, self._collection.name) as connection:
            self._check_columns(connection)
            first = connection.execute(sa.select(column).where(column.is_not(None)).limit(1)).scalar()
        return (KeyColumn(self._source.id, "bigint" if isinstance(plain(first), int) else "text"),)

    @property
    def scope(self) -> str:
        """Digest of the variable, the query, the fields and the cursor; not of the URL itself, which may be rotated."""
        source = self._source
        read = [_VERSION, source.url, source.query, source.table, source.id, source.cursor, list(self._fields.items())]
        return hashlib.sha256(json.dumps(read).encode()).hexdigest()

    def fingerprint(self) -> str:
        """With a cursor: the rows, the highest cursor and how many have it. Without one only reading tells."""
        if self._source.cursor is None:
            return "not known before it is read"
        cursor = self._rows.c[self._source.cursor]
        highest = sa.select(sa.func.max(cursor)).scalar_subquery()
        with connected(self._url, self._collection.name) as connection:
            self._check_columns(connection)
            counted = connection.execute(
                sa.select(
                    sa.func.count(), sa.func.max(cursor), sa.func.sum(sa.case((cursor == highest, 1), else_=0))
                ).select_from(self._rows)
            ).one()
        count = "" if self._source.deletes == "never" else counted[0]
        return hashlib.sha256(f"{self.scope} {count} {counted[1]!r} {counted[2]}".encode()).hexdigest()

    def rows(self) -> Iterator[RawRow | BadRow]:
        """Stream the rows of the whole query."""
        good, first_bad = 0, None
        for row in self._read(None):
            if isinstance(row, BadRow):
                first_bad = first_bad or row
            else:
                good += 1
            yield row
        if first_bad and not good:
            raise SourceError(
                f"{self._collection.name}: {first_bad.where}: {first_bad.error}; not one row of the query can be read"
            )

    def changes(self, since: str | None) -> Iterator[RawRow | BadRow]:
        """Stream rows whose cursor is at or above ``since`` less the lookback, and those without; all when None."""
        self._highest = None
        if since is None:
            yield from self.rows()
            return
        position = positions.decode(since)
        cursor = self._rows.c[str(self._source.cursor)]
        start = sa.literal(positions.before(position, self._source.lookback))
        yield from self._read(sa.or_(cursor >= start, cursor.is_(None)))
        self._highest = position if self._highest is None else max(self._highest, position)

    def reached(self) -> str | None:
        """Return the highest cursor that was read, as text."""
        return None if self._highest is None else positions.encode(self._highest)

    def keys(self) -> Iterator[Key] | None:
        """Stream the ids of all rows, None where rows are declared never to leave."""
        return None if self._source.deletes == "never" else self._keys()

    def rows_of(self, keys: Sequence[Key]) -> Iterator[RawRow | BadRow]:
        """Stream the rows of some ids."""
        column, left = self._rows.c[self._source.id], iter(keys)
        if self.key[0].type == "text":
            column = sa.cast(column, sa.String)  # type: ignore[assignment]  # an id may be a uuid there
        while some := [key[0] for key in islice(left, _LOOKED_UP)]:
            yield from self._read(column.in_(some))

    # -- reading

    @cached_property
    def _url(self) -> sa.URL:
        return read_url(self._source.url, self._collection.name)

    @cached_property
    def _rows(self) -> sa.FromClause:
        names = dict.fromkeys([self._source.id, *self._fields, *filter(None, [self._source.cursor])])
        # Elsewhere a quoted name may be another one; in these it never is, and more words are reserved than SQLAlchemy
        # knows.
        quote = True if self._url.get_backend_name() in FILES else None
        wanted: list[sa.ColumnClause[Any]] = [sa.column(quoted_name(name, quote)) for name in names]
        if self._source.table:
            schema, _, table = self._source.table.rpartition(".")
            return sa.table(table, *wanted, schema=schema or None)
        query = str(self._source.query).strip().rstrip(";").rstrip()
        # A colon is a colon: the query has no parameters, and ``::`` or a time must not be taken for one.
        return sa.text(query.replace(":", "\\:")).columns(*wanted).subquery("source_rows")

    def _read(self, condition: sa.ColumnElement[bool] | None) -> Iterator[RawRow | BadRow]:
        names = [self._source.id, *self._fields]
        query = sa.select(*(self._rows.c[name] for name in [*names, *filter(None, [self._source.cursor])]))
        kind = self.key[0].type
        for number, row in enumerate(self._stream(query if condition is None else query.where(condition)), start=1):
            if self._source.cursor:
                self._highest = positions.later(self._highest, row[-1], self._where(self._source.cursor))
            key = (self._id(row[0], kind, number),)
            values = []
            for (name, type_), value in zip(self._fields.items(), row[1:], strict=False):
                try:
                    values.append(convert(plain(value), type_))
                except WrongValue as error:
                    wrong = bad_row(row_key(key), f"{name}: {error}", json.dumps(list(row), default=shown))
                    yield BadRow(wrong.where, wrong.error, wrong.content, key)
                    break
            else:
                yield RawRow(key, tuple(values))

    def _keys(self) -> Iterator[Key]:
        kind = self.key[0].type
        for number, row in enumerate(self._stream(sa.select(self._rows.c[self._source.id])), start=1):
            yield (self._id(row[0], kind, number),)

    def _stream(self, query: sa.Select[Any]) -> Iterator[Sequence[Any]]:
        with connected(self._url, self._collection.name) as connection:
            self._check_columns(connection)
            batches = connection.execution_options(stream_results=True, yield_per=self._source.batch)
            for batch in batches.execute(query).partitions():
                yield from batch

    def _id(self, value: object, kind: str, number: int) -> str | int:
        key, name = plain(value), self._source.id
        if key is None or key == "":
            raise SourceError(f"{self._where(name)}: row {number} of the query has none; expected a value in every row")
        if kind == "bigint" and isinstance(key, int) and not isinstance(key, bool) and -(2**63) <= key < 2**63:
            return key
        if kind == "text" and isinstance(key, str) and is_storable(key):
            return key
        expected = "a whole number of 64 bits, as in the first row" if kind == "bigint" else "text, as in the first row"
        raise SourceError(f"{self._where(name)}: row {number} of the query has {found(key)}; expected {expected}")

    def _check_columns(self, connection: sa.Connection) -> None:
        if self._checked:
            return
        everything = sa.select(sa.text("*")).select_from(self._rows).where(sa.false())
        there = list(connection.execute(everything).keys())
        for name in (self._source.id, *self._fields, *filter(None, [self._source.cursor])):
            if name not in there:
                raise SourceError(f"{self._where(name)}: the query has no such column; it has {', '.join(there)}")
        self._checked = True

    def _where(self, column: str) -> str:
        return f"{self._collection.name}: {column}"
