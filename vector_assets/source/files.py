"""Rows of files: JSONL, CSV, TSV and Parquet, one path or a glob, on any fsspec file system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from functools import cached_property

import pyarrow as pa

from vector_assets.errors import SourceError
from vector_assets.records import BadRow, KeyColumn, RawRow
from vector_assets.source.formats import ENDINGS, READERS, Line, Request, bad_row, parquet_type
from vector_assets.source.storable import is_storable
from vector_assets.source.storage import SourceFile, find_files, open_bytes, open_seekable
from vector_assets.source.values import WrongValue, convert, convert_cell, found
from vector_assets.spec.collection import Collection
from vector_assets.spec.source import FileFormat, FileSource

_VERSION = 1


class FileReader:
    """Reads the rows of a ``file`` source.

    What cannot be read or has a wrong type is one BadRow. What would make the whole reading untrue raises SourceError:
    a missing file or column, a row without id, an id that stands twice, or not one readable row among many bad ones.
    """

    def __init__(self, collection: Collection, source: FileSource) -> None:
        self._source = source
        self._fields = collection.fields
        self._url = collection.resolve(source.path)

    @cached_property
    def files(self) -> tuple[SourceFile, ...]:
        """The files as they were found first, sorted by path."""
        return find_files(self._url)

    @cached_property
    def key(self) -> tuple[KeyColumn, ...]:
        """One column named by ``source.id``: bigint where Parquet holds integers, else text."""
        kinds = {self._key_type(file): file.name for file in reversed(self.files)}
        if len(kinds) > 1:
            parts = " and ".join(f"{kind} in {name}" for kind, name in sorted(kinds.items()))
            raise SourceError(f"{self._url}: {self._source.id} is {parts}; expected one type in all files")
        return (KeyColumn(name=self._source.id, type=next(iter(kinds))),)

    def fingerprint(self) -> str:
        """Digest of every file's path, size and time of writing, and of how they are read."""
        how = [_VERSION, self._source.id, self._source.format, list(self._fields.items())]
        files = [[file.name, file.size, file.stamp] for file in find_files(self._url)]
        return hashlib.sha256(json.dumps([how, files]).encode()).hexdigest()

    def rows(self) -> Iterator[RawRow | BadRow]:
        """Stream the rows of all files in order."""
        wants_integer = self.key[0].type == "bigint"
        seen = set[bytes]()
        columns = _Columns(self._source.id, tuple(self._fields))
        good, first_bad = 0, None
        for file in self.files:
            # Closed by hand: where a row ends the reading, the file is not left to the garbage collector.
            with closing(self._lines(file, columns)) as lines:
                for line in lines:
                    row = line if isinstance(line, BadRow) else self._row(line, file, columns, wants_integer)
                    if isinstance(row, BadRow):
                        first_bad = first_bad or row
                    else:
                        good += 1
                        self._once(row.key[0], line.where, seen)
                    yield row
        if first_bad and not good:
            raise SourceError(f"{first_bad.where}: {first_bad.error}; not one row of the source can be read")
        if good:
            columns.check_all(self._url if len(self.files) > 1 else self.files[0].name)

    def _lines(self, file: SourceFile, columns: _Columns) -> Generator[Line | BadRow]:
        kind = self._format(file)
        wanted = [self._source.id, *self._fields]

        def tell(existing: Sequence[str]) -> None:
            columns.seen(existing)
            if kind != "jsonl":
                columns.check(file.name, existing)

        with (open_seekable if kind == "parquet" else open_bytes)(file) as stream:
            yield from READERS[kind](stream, Request(name=file.name, wanted=wanted, tell=tell))

    def _row(self, line: Line, file: SourceFile, columns: _Columns, wants_integer: bool) -> RawRow | BadRow:
        key = self._id(line, columns, wants_integer)
        converter = convert_cell if self._format(file) in ("csv", "tsv") else convert
        values = []
        for (name, kind), value in zip(self._fields.items(), line.values[1:], strict=True):
            try:
                values.append(converter(value, kind))
            except WrongValue as error:
                return bad_row(line.where, f"{name}: {error}", json.dumps(line.values, default=str, ensure_ascii=False))
        return RawRow(key=(key,), values=tuple(values))

    def _id(self, line: Line, columns: _Columns, wants_integer: bool) -> str | int:
        value, name = line.values[0], self._source.id
        if value is None or value == "":
            raise SourceError(f"{line.where}: the row has no {name}; expected a value in every row{columns.hint()}")
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if isinstance(value, int) and is_integer and wants_integer:
            if not -(2**63) <= value < 2**63:
                raise SourceError(f"{line.where}: {name} is {value}; expected a whole number of 64 bits")
            return value
        if isinstance(value, str) and is_storable(value):
            return value
        if is_integer:
            return str(value)
        raise SourceError(f"{line.where}: {name} is {found(value)}; expected text or a whole number")

    def _once(self, key: str | int, where: str, seen: set[bytes]) -> None:
        # 16 bytes a row instead of the id itself: ids may be long, and the set is all that grows with the source.
        digest = hashlib.blake2b(str(key).encode(), digest_size=16).digest()
        if digest in seen:
            raise SourceError(f"{where}: {self._source.id} {key!r} stands twice; expected each id once")
        seen.add(digest)

    def _format(self, file: SourceFile) -> FileFormat:
        kind = self._source.format or ENDINGS.get(file.ending)
        if kind is None:
            raise SourceError(
                f"{file.name}: the ending does not tell the format; "
                "expected .jsonl, .csv, .tsv or .parquet (or with .gz), or format: in the source"
            )
        return kind

    def _key_type(self, file: SourceFile) -> str:
        if self._format(file) != "parquet":
            return "text"
        with open_seekable(file) as stream:
            kind = parquet_type(stream, file.name, self._source.id)
        if pa.types.is_integer(kind):
            return "bigint"
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return "text"
        raise SourceError(f"{file.name}: {self._source.id} is {kind}; expected text or whole numbers")


class _Columns:
    """Which wanted columns were met, and some that exist, for messages."""

    def __init__(self, id_column: str, fields: tuple[str, ...]) -> None:
        self._id = id_column
        self._missing = {id_column, *fields}
        self._order = (id_column, *fields)
        self._existing: dict[str, None] = {}

    def seen(self, existing: Sequence[str]) -> None:
        if self._missing:
            self._missing.difference_update(existing)
            if len(self._existing) < 100:
                self._existing.update(dict.fromkeys(existing))

    def check(self, file: str, existing: Sequence[str]) -> None:
        for name in self._order:
            if name not in existing:
                raise SourceError(f"{file}: has no column {name}; it has {', '.join(existing)}")

    def check_all(self, file: str) -> None:
        self._existing.pop(self._id, None)
        for name in self._order:
            if name in self._missing:
                raise SourceError(f"{file}: no row has {name}; rows have {', '.join([self._id, *self._existing])}")

    def hint(self) -> str:
        return f"; it has {', '.join(self._existing)}" if self._id in self._missing and self._existing else ""
