"""Rows of files: JSONL, CSV, TSV and Parquet, one path or a glob, on any fsspec file system."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property

import pyarrow as pa

from vector_assets.errors import SourceError
from vector_assets.records import BadRow, KeyColumn, RawRow, SourcePart
from vector_assets.source.formats import ENDINGS, READERS, Line, Request, bad_row, is_text_type, parquet_type
from vector_assets.source.images import images_stamp, is_path, read_image
from vector_assets.source.partitions import as_glob, partition_of
from vector_assets.source.storable import is_storable
from vector_assets.source.storage import NoFile, SourceFile, find_files, open_bytes, open_seekable
from vector_assets.source.values import WrongValue, convert, convert_cell, found, shown
from vector_assets.source.wanted import WantedColumns
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
        self._images = [name for name, kind in collection.fields.items() if kind == "image"]
        self._url = collection.resolve(source.path)
        self._files: dict[str, SourceFile] = {}
        self._noted: dict[SourceFile, list[str]] = {}

    @cached_property
    def files(self) -> tuple[SourceFile, ...]:
        """The files as they were found first, sorted by path."""
        return self._find()

    @cached_property
    def key(self) -> tuple[KeyColumn, ...]:
        """One column named by ``source.id``: bigint where Parquet holds integers, else text."""
        # The first file tells; each of the others is held against it when it is read.
        kind = self._key_type(self.files[0]) if self.files else "text"
        return (KeyColumn(name=self._source.id, type=kind),)

    @property
    def scope(self) -> str:
        """Digest of how files are read."""
        how = [_VERSION, self._source.id, self._source.format, list(self._fields.items())]
        return hashlib.sha256(json.dumps(how).encode()).hexdigest()

    def fingerprint(self) -> str:
        """Digest of every file's path, size and time of writing, and of how they are read; of images they name too."""
        found_now = self._find_now()
        self._noted = {file: self._seen_images(file) for file in found_now}  # parts() is asked next
        files = [[file.name, file.size, file.stamp, *self._noted[file]] for file in found_now]
        return hashlib.sha256(json.dumps([self.scope, files]).encode()).hexdigest()

    def parts(self) -> tuple[SourcePart, ...]:
        """Return the files with what tells that they changed, or an image they name: etag or time of writing, size."""
        files = self._find_now()
        self._files = {file.name: file for file in files}
        return tuple(SourcePart(file.name, self._version(file), self._partition(file) or "") for file in files)

    def read(self, parts: Sequence[SourcePart]) -> Iterator[tuple[SourcePart, RawRow | BadRow]]:
        """Stream the rows of some files."""
        seen = set[bytes]()
        columns = WantedColumns(self._source.id, tuple(self._fields))
        good, first_bad = 0, None
        for part in parts:
            file = self._files[part.name]
            self._check_key(file)
            # Closed by hand: where a row ends the reading, the file is not left to the garbage collector.
            with closing(self._lines(file, columns)) as lines:
                for line in lines:
                    row = line if isinstance(line, BadRow) else self._row(line, file, columns)
                    if isinstance(row, BadRow):
                        first_bad = first_bad or row
                    else:
                        good += 1
                    if row.key is not None and not isinstance(line, BadRow):
                        self._once(row.key[0], line.where, seen)
                    yield part, row
        # What is true of all files need not be true of the few that changed.
        is_whole = len(parts) == len(self._files)
        if first_bad and not good and is_whole:
            raise SourceError(f"{first_bad.where}: {first_bad.error}; not one row of the source can be read")
        if good and is_whole:
            columns.check_all(self._url if len(parts) > 1 else parts[0].name)

    def rows(self) -> Iterator[RawRow | BadRow]:
        """Stream the rows of all files in order."""
        self._files = {file.name: file for file in self.files}
        for _, row in self.read([SourcePart(name, "") for name in self._files]):
            yield row

    def _find_now(self) -> tuple[SourceFile, ...]:
        try:
            return self._find()
        except NoFile as error:
            raise NoFile(f"{error}. Where all rows really left, declare allow_empty: true in source") from None

    def _find(self) -> tuple[SourceFile, ...]:
        try:
            files = find_files(as_glob(self._url))
        except NoFile:
            if self._source.allow_empty:
                return ()
            raise
        return tuple(file for file in files if self._partition(file) is not None)

    def _partition(self, file: SourceFile) -> str | None:
        return partition_of(file, self._url, self._source)

    def _version(self, file: SourceFile) -> str:
        images = self._noted.pop(file) if file in self._noted else self._seen_images(file)
        return " ".join([str(file.size), file.stamp, *images])

    def _seen_images(self, file: SourceFile) -> list[str]:
        """What tells that an image beside a file changed; nothing where the file names none.

        The file is read for the names: nothing short of that says which images are of its rows.
        """
        if not self._images or self._holds_images(file):
            return []
        columns = WantedColumns(self._images[0], tuple(self._images[1:]))
        with closing(self._lines(file, columns, self._images)) as lines:
            named = (value for line in lines if isinstance(line, Line) for value in line.values if is_path(value))
            return [images_stamp((str(path) for path in named), file)]

    def _holds_images(self, file: SourceFile) -> bool:
        """Tell whether all images stand in the file itself, which only Parquet can."""
        if self._format(file) != "parquet":
            return False
        with open_seekable(file) as stream:
            kinds = [parquet_type(stream, file.name, name) for name in self._images]
        return not any(map(is_text_type, kinds))

    def _lines(
        self, file: SourceFile, columns: WantedColumns, names: Sequence[str] | None = None
    ) -> Generator[Line | BadRow]:
        kind = self._format(file)
        wanted = [self._source.id, *self._fields] if names is None else names

        def tell(existing: Sequence[str]) -> None:
            columns.seen(existing)
            if kind != "jsonl":
                columns.check(file.name, existing)

        with (open_seekable if kind == "parquet" else open_bytes)(file) as stream:
            yield from READERS[kind](stream, Request(name=file.name, wanted=wanted, tell=tell))

    def _row(self, line: Line, file: SourceFile, columns: WantedColumns) -> RawRow | BadRow:
        key = self._id(line, columns, self.key[0].type == "bigint")
        converter = convert_cell if self._format(file) in ("csv", "tsv") else convert
        values = []
        for (name, kind), value in zip(self._fields.items(), line.values[1:], strict=True):
            try:
                if kind == "image" and is_path(value):
                    value = read_image(str(value), file)
                values.append(converter(value, kind))
            except WrongValue as error:
                content = json.dumps(line.values, default=shown, ensure_ascii=False)
                return replace(bad_row(line.where, f"{name}: {error}", content), key=(key,))
        return RawRow(key=(key,), values=tuple(values))

    def _id(self, line: Line, columns: WantedColumns, wants_integer: bool) -> str | int:
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

    def _check_key(self, file: SourceFile) -> None:
        first = next(iter(self.files))
        kinds = {self._key_type(file): file.name, self.key[0].type: first.name}
        if len(kinds) > 1:
            parts = " and ".join(f"{kind} in {name}" for kind, name in sorted(kinds.items()))
            raise SourceError(f"{self._url}: {self._source.id} is {parts}; expected one type in all files")

    def _key_type(self, file: SourceFile) -> str:
        if self._format(file) != "parquet":
            return "text"
        with open_seekable(file) as stream:
            kind = parquet_type(stream, file.name, self._source.id)
        if pa.types.is_integer(kind):
            return "bigint"
        if is_text_type(kind):
            return "text"
        raise SourceError(f"{file.name}: {self._source.id} is {kind}; expected text or whole numbers")
