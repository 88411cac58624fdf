"""What readers of rows give."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

Value = str | int | float | datetime | bytes | None
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
    """A row that cannot be read. ``where`` names file and line, ``content`` is its start, ``key`` its key if known."""

    where: str
    error: str
    content: str = ""
    key: Key | None = None


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


@dataclass(frozen=True, slots=True)
class SourcePart:
    """One file of a source. ``version`` changes with its content; ``partition`` is the Dagster partition it is of."""

    name: str
    version: str
    partition: str = ""


class PartedReader(SourceReader, Protocol):
    """A source that consists of parts, of which only the changed ones are read again."""

    @property
    def scope(self) -> str:
        """Digest of what is read of a part, and how. With another scope all parts are read again."""
        ...

    def parts(self) -> tuple[SourcePart, ...]:
        """Return what the source consists of now."""
        ...

    def read(self, parts: Sequence[SourcePart]) -> Iterator[tuple[SourcePart, RawRow | BadRow]]:
        """Stream the rows of some parts. An id that stands twice in them raises SourceError."""
        ...


class ChangesReader(SourceReader, Protocol):
    """A source that can be asked for what changed since a position of its own."""

    @property
    def scope(self) -> str:
        """Digest of what is read, and how. A position of another scope is worth nothing."""
        ...

    def changes(self, since: str | None) -> Iterator[RawRow | BadRow]:
        """Stream rows that changed at ``since`` or later, the whole source when None."""
        ...

    def reached(self) -> str | None:
        """Return the position up to which ``changes`` has read, once it has ended; None where there was no row."""
        ...

    def keys(self) -> Iterator[Key] | None:
        """Stream the keys of all rows that are there; None where rows are declared never to leave."""
        ...

    def rows_of(self, keys: Sequence[Key]) -> Iterator[RawRow | BadRow]:
        """Stream the rows of some keys; one that is gone is left out."""
        ...
