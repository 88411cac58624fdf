"""Small JSONL files that must be right as a whole: every line is an object, or the reading ends with its line named."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from vector_assets.errors import SourceError
from vector_assets.source.formats import why_not_json
from vector_assets.source.storable import is_storable
from vector_assets.source.storage import find_files, open_bytes
from vector_assets.source.values import found


@dataclass(frozen=True, slots=True)
class JsonLine:
    """One object of a JSONL file, with its place for messages."""

    where: str
    values: Mapping[str, object]

    def text(self, *names: str) -> str:
        """Return the value of the first of these keys that is present, which must be text."""
        value = self.optional_text(*names)
        if value is None:
            raise SourceError(f"{self.where}: {' or '.join(names)} is missing; expected text")
        return value

    def optional_text(self, *names: str) -> str | None:
        """Return the same, or None when no key is present or its value is null. Whole numbers become text."""
        for name in names:
            value = self.values.get(name)
            if isinstance(value, int) and not isinstance(value, bool):
                return str(value)
            if isinstance(value, str):
                if not is_storable(value):
                    raise SourceError(f"{self.where}: {name} has a NUL character or half a surrogate pair")
                return value
            if value is not None:
                raise SourceError(f"{self.where}: {name} is {found(value)}; expected text")
        return None


def read_objects(url: str) -> Generator[JsonLine]:
    """Stream the objects of a JSONL file or glob, plain or .gz. Raises SourceError at the first line that is none."""
    for file in find_files(url):
        with open_bytes(file) as stream:
            for number, line in enumerate(stream, start=1):
                stripped = (line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line).strip()
                if stripped:
                    yield _parse(stripped, f"{file.name}:{number}")


def _parse(line: bytes, where: str) -> JsonLine:
    try:
        row = json.loads(line.decode())
    except UnicodeDecodeError as error:
        raise SourceError(f"{where}: not UTF-8 at byte {error.start}; expected a JSON object") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}: not JSON ({why_not_json(error)}); expected a JSON object") from error
    if not isinstance(row, dict):
        raise SourceError(f"{where}: found {found(row)}; expected a JSON object")
    return JsonLine(where=where, values=row)
