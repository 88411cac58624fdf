"""What readers of rows give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

Value = str | int | float | datetime | None
Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """A column of a row's key, with its Postgres type as SQL spells it."""

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row of a source: its key, and its values in the order of the collection's fields."""

    key: Key
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read. ``where`` names file and line, ``content`` is its start."""

    where: str
    error: str
    content: str = ""


class SourceReader(Protocol):
    """Reads the rows of one source. Readers of copied sources implement this; postgres tables are used in place."""

    @property
    def key(self) -> tuple[KeyColumn, ...]:
        """The key's columns."""
        ...

    def fingerprint(self) -> str:
        """Digest of what can be seen without reading the rows: names, sizes, times, versions. Equal means unchanged."""
        ...

    def rows(self) -> Iterator[RawRow | BadRow]:
        """Stream the rows. Unreadable ones come as BadRow and the rest goes on; SourceError ends the reading."""
        ...
