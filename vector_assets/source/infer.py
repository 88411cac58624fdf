"""A first declaration from a file: its id, its fields and their types, read off its first rows."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vector_assets.errors import SourceError
from vector_assets.records import BadRow
from vector_assets.source.formats import ENDINGS, READERS, Request
from vector_assets.source.images import looks_like_images
from vector_assets.source.storage import SourceFile, find_files, open_bytes, open_seekable
from vector_assets.source.values import WrongValue, convert, convert_cell, plain
from vector_assets.spec.declare import render_declaration
from vector_assets.spec.field import FieldType
from vector_assets.spec.source import FileFormat

_ROWS = 1000
_ID_NAMES = ("id", "_id")
_TITLES = (
    "title",
    "name",
    "headline",
    "subject",
    "question",
    "text",
    "body",
    "abstract",
    "description",
    "content",
    "summary",
)
#: A text that is longer, or nearly always another one, is no category.
_CATEGORY_LENGTH = 40
_CATEGORY_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    values: tuple[object, ...]
    is_cell: bool

    @property
    def present(self) -> list[object]:
        return [value for value in self.values if value is not None and value != ""]

    @property
    def is_id(self) -> bool:
        ids = [value for value in self.present if isinstance(value, str | int) and not isinstance(value, bool)]
        return bool(self.values) and len(ids) == len(self.values) and len(set(ids)) == len(ids)

    @property
    def mean_length(self) -> float:
        lengths = [len(value) for value in self.present if isinstance(value, str)]
        return sum(lengths) / max(1, len(lengths))

    def kind(self) -> FieldType | None:
        """Return the narrowest type that all values have, None when there is none."""
        for kind in ("number", "datetime", "category"):
            if self.present and all(self._fits(value, kind) for value in self.present):
                if kind != "category":
                    return kind
                return "category" if self._repeats() else "text" if self._fits_all("text") else None
        return None

    def _fits_all(self, kind: FieldType) -> bool:
        return all(self._fits(value, kind) for value in self.present)

    def _fits(self, value: object, kind: FieldType) -> bool:
        if kind == "datetime" and isinstance(value, str) and ("-" not in value or len(value) < len("2026-01-31")):
            return False  # 20260131 and 2026-W05 are more often numbers and codes
        try:
            return (convert_cell(str(value), kind) if self.is_cell else convert(value, kind)) is not None
        except WrongValue:
            return False

    def _repeats(self) -> bool:
        texts = [str(value) for value in self.present]
        distinct = len(set(texts))
        few = distinct <= max(2, len(texts) * _CATEGORY_SHARE)
        return few and max(map(len, texts)) <= _CATEGORY_LENGTH


def new_declaration(
    name: str,
    url: str,
    *,
    folder: Path,
    root: Path,
    id_column: str | None = None,
    format: FileFormat | None = None,
) -> str:
    """Return the YAML of a collection over a file, glob or URL. Raises SourceError where no column can be the id.

    ``folder`` is where the declaration will stand: a file of the same project (below ``root``) is named relative to it.
    """
    absolute = url if "://" in url else str(Path(url).expanduser().absolute())
    file = find_files(absolute)[0]
    kind = format or ENDINGS.get(file.ending)
    if kind is None:
        raise SourceError(f"{file.name}: the ending does not tell the format; expected .jsonl, .csv, .tsv or .parquet")
    columns = _read_columns(file, kind)
    key = _key(file.name, columns, id_column)
    source = {"kind": "file", "path": _relative(absolute, folder, root)}
    source |= {} if key == "id" else {"id": key}
    source |= {"format": kind} if format and ENDINGS.get(file.ending) != format else {}
    return _declared(name, source, columns, key)


def declaration_of_rows(
    name: str,
    source: Mapping[str, str],
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    where: str,
    id_column: str | None = None,
) -> str:
    """Return the YAML of a collection over some rows of a query or table that ``source`` names."""
    if not rows:
        raise SourceError(f"{where}: has no row; expected some to read the types of the columns from")
    read = [_Column(column, tuple(plain(row[place]) for row in rows), False) for place, column in enumerate(columns)]
    key = _key(where, read, id_column)
    return _declared(name, {**source, **({} if key == "id" else {"id": key})}, read, key)


def _declared(name: str, source: Mapping[str, str], columns: Sequence[_Column], key: str) -> str:
    images = [column.name for column in columns if column.name != key and looks_like_images(column.present)]
    kinds = {column.name: column.kind() for column in columns if column.name not in (key, *images)}
    usable = {column: found for column, found in kinds.items() if found and _is_name(column)}
    left_out = {column: _why(column, kinds[column]) for column in kinds if column not in usable}
    left_out |= dict.fromkeys(
        images, "holds images; declare it as image, with a space {kind: image, encoder: ./folder}"
    )
    shown = next(filter(_is_name, images), None)
    if shown and not {"text", "category"} & set(usable.values()):
        left_out.pop(shown)
    return render_declaration(
        name,
        source,
        list(usable.items()),
        text=_text([c for c in columns if usable.get(c.name) == "text"]),
        left_out=left_out,
        image=shown,
    )


def _read_columns(file: SourceFile, kind: FileFormat) -> list[_Column]:
    names: dict[str, None] = {}
    # Two passes: JSONL tells its columns only row by row, and readers return the columns they are asked for.
    for _ in _sample(file, kind, (), names):
        pass
    wanted = tuple(names)
    rows = list(_sample(file, kind, wanted, names))
    if not rows:
        raise SourceError(f"{file.name}: has no readable row; expected some to read the types of the columns from")
    is_cell = kind in ("csv", "tsv")
    return [_Column(name, tuple(row[place] for row in rows), is_cell) for place, name in enumerate(wanted)]


def _sample(
    file: SourceFile, kind: FileFormat, wanted: Sequence[str], names: dict[str, None]
) -> list[tuple[object, ...]]:
    with (open_seekable if kind == "parquet" else open_bytes)(file) as stream:
        request = Request(file.name, wanted, lambda existing: names.update(dict.fromkeys(existing)))
        lines = READERS[kind](stream, request)
        return [line.values for line in islice(lines, _ROWS) if not isinstance(line, BadRow)]


def _key(where: str, columns: Sequence[_Column], asked: str | None) -> str:
    there = {column.name: column for column in columns}
    if asked is not None:
        if asked not in there:
            raise SourceError(f"{where}: has no column {asked}; it has {', '.join(there)}")
        return asked
    ordered = [there[name] for name in _ID_NAMES if name in there] + [c for c in columns if c.name not in _ID_NAMES]
    found = next(
        (c.name for c in ordered if c.is_id and (c.name in _ID_NAMES or c.mean_length <= _CATEGORY_LENGTH)), None
    )
    if found is None:
        raise SourceError(
            f"{where}: no column names its rows (unique and never empty); expected one, it has {', '.join(there)}"
        )
    return found


def _text(columns: Sequence[_Column]) -> list[str]:
    """Return the texts to make the vector of: titles before longer ones, codes and links left out."""
    rank = {name: place for place, name in enumerate(_TITLES)}
    prose = [c for c in columns if c.name.lower() in rank or any(" " in str(value).strip() for value in c.present)]
    return [c.name for c in sorted(prose or columns, key=lambda c: rank.get(c.name.lower(), len(rank)))]


def _is_name(column: str) -> bool:
    return 0 < len(column.encode()) <= 63 and all(ord(char) >= 32 for char in column) and column == column.strip()


def _why(column: str, kind: FieldType | None) -> str:
    return "no type fits all its values" if kind is None else f"{json.dumps(column)} is no column name of 1 to 63 bytes"


def _relative(url: str, folder: Path, root: Path) -> str:
    if "://" in url or not Path(url).is_relative_to(root.absolute()):
        return url
    return Path(os.path.relpath(url, folder.absolute())).as_posix()
