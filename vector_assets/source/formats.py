"""One reader per file format: bytes in, lines out. Nothing here knows types; ``files.py`` does."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol

import pyarrow as pa
from pyarrow import parquet

from vector_assets.errors import SourceError
from vector_assets.records import BadRow
from vector_assets.source.storable import is_storable, storable
from vector_assets.source.values import found
from vector_assets.spec.source import FileFormat

_BATCH_ROWS = 1024
_CONTENT = 200
#: Python's own limit is 128 KiB a cell, too short for documents; without any, an unclosed quote eats the file.
_CELL_LIMIT = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Line:
    """One row as it stands in the file: where, and its values in the order that was asked for."""

    where: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a file: its name for messages, the wanted columns, and who is told the columns that exist."""

    name: str
    wanted: Sequence[str]
    tell: Callable[[Sequence[str]], None]


class CsvReader(Protocol):
    """What csv.reader returns."""

    line_num: int

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


Read = Callable[[BinaryIO, Request], Iterator[Line | BadRow]]


class Unreadable:
    """Stands for a value of a Parquet column that cannot be decoded."""

    def __init__(self, why: str) -> None:
        self.why = why

    def __repr__(self) -> str:
        return self.why


def read_jsonl(file: BinaryIO, request: Request) -> Iterator[Line | BadRow]:
    """Read one JSON object a line; blank lines are skipped, unreadable ones come as BadRow."""
    for number, line in enumerate(file, start=1):
        stripped = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
        if not stripped:
            continue
        where = f"{request.name}:{number}"
        try:
            row = json.loads(stripped.decode())
        except UnicodeDecodeError as error:
            yield bad_row(where, f"not UTF-8 at byte {error.start}; expected a JSON object", stripped)
        except (ValueError, RecursionError) as error:
            yield bad_row(where, f"not JSON ({why_not_json(error)}); expected a JSON object", stripped)
        else:
            if isinstance(row, dict):
                request.tell(tuple(row))
                yield Line(where, tuple(row.get(column) for column in request.wanted))
            else:
                yield bad_row(where, f"expected a JSON object, found {found(row)}", stripped)


def _read_separated(separator: str, file: BinaryIO, request: Request) -> Iterator[Line | BadRow]:
    # surrogateescape lets a line that is not UTF-8 be set aside by itself; strict decoding would end the file.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        csv.field_size_limit(max(csv.field_size_limit(), _CELL_LIMIT))
        yield from _table(csv.reader(text, delimiter=separator, strict=True), separator, request)
    finally:
        text.detach()  # the file is closed by who opened it


def _table(reader: CsvReader, separator: str, request: Request) -> Iterator[Line | BadRow]:
    header = _header(reader, request)
    places = [header.index(column) if column in header else -1 for column in request.wanted]
    while True:
        where = f"{request.name}:{reader.line_num + 1}"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield bad_row(where, f"not a line of the table: {error}")
            continue
        if cells is None:
            return
        if len(cells) == len(header) and all(map(is_storable, cells)):
            yield Line(where, tuple(cells[place] for place in places))
        elif len(cells) not in (0, len(header)):
            yield bad_row(where, f"expected {len(header)} cells, found {len(cells)}", separator.join(cells))
        elif cells:
            yield bad_row(where, "expected UTF-8 without NUL characters", separator.join(cells))


def _header(reader: CsvReader, request: Request) -> list[str]:
    try:
        header = next(reader, [])
    except csv.Error as error:
        raise SourceError(f"{request.name}:1: header cannot be read: {error}") from error
    if not header:
        raise SourceError(f"{request.name}: is empty; expected a header with the names of the columns")
    request.tell(header)
    for column in request.wanted:
        if header.count(column) > 1:
            times = header.count(column)
            raise SourceError(f"{request.name}:1: column {column} stands {times} times; expected it once")
    return header


def read_csv(file: BinaryIO, request: Request) -> Iterator[Line | BadRow]:
    """Read comma-separated lines below a header. A quoted cell may span lines; the first one is named."""
    return _read_separated(",", file, request)


def read_tsv(file: BinaryIO, request: Request) -> Iterator[Line | BadRow]:
    """Read tab-separated lines below a header, with the same quoting as CSV."""
    return _read_separated("\t", file, request)


def read_parquet(file: BinaryIO, request: Request) -> Iterator[Line | BadRow]:
    """Read the wanted columns batch by batch; rows are numbered from 1."""
    try:
        table = parquet.ParquetFile(file)
        request.tell(table.schema_arrow.names)
        number = 0
        for batch in table.iter_batches(_BATCH_ROWS, columns=list(request.wanted)):
            by_name = {column: _python_values(batch.column(column)) for column in request.wanted}
            for values in zip(*(by_name[column] for column in request.wanted), strict=True):
                number += 1
                yield Line(f"{request.name} row {number}", values)
    except pa.ArrowException as error:
        raise SourceError(f"{request.name}: not readable Parquet: {' '.join(str(error).split())}") from error


def parquet_type(file: BinaryIO, name: str, column: str) -> pa.DataType:
    """Return the type of a column, the value type of a dictionary."""
    try:
        schema = parquet.read_schema(file)
    except pa.ArrowException as error:
        raise SourceError(f"{name}: not readable Parquet: {' '.join(str(error).split())}") from error
    if column not in schema.names:
        raise SourceError(f"{name}: has no column {column}; it has {', '.join(schema.names)}")
    kind = schema.field(column).type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def is_text_type(kind: pa.DataType) -> bool:
    """Tell whether a column of Parquet holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _python_values(column: pa.Array) -> list[object]:
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_python_value(scalar) for scalar in column]


def _python_value(scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError) as error:
        return Unreadable(" ".join(str(error).split()))


def why_not_json(error: ValueError | RecursionError) -> str:
    """Return a JSON error in the words of one line: its own line number is always 1."""
    return f"{error.msg} at character {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)


def bad_row(where: str, error: str, content: bytes | str = "") -> BadRow:
    """Set a line aside with its start, as text that Postgres can hold."""
    text = content[: 4 * _CONTENT].decode(errors="replace") if isinstance(content, bytes) else content
    shown = storable(text[:_CONTENT])
    return BadRow(where=where, error=error, content=shown)


READERS: dict[FileFormat, Read] = {"jsonl": read_jsonl, "csv": read_csv, "tsv": read_tsv, "parquet": read_parquet}
ENDINGS: dict[str, FileFormat] = {
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "csv": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "parquet": "parquet",
    "pq": "parquet",
}
