"""Whether files have the columns that a declaration wants."""

from __future__ import annotations

from collections.abc import Sequence

from vector_assets.errors import SourceError


class WantedColumns:
    """Which wanted columns were met, and some that exist, for messages."""

    def __init__(self, id_column: str, fields: tuple[str, ...]) -> None:
        self._id = id_column
        self._missing = {id_column, *fields}
        self._order = (id_column, *fields)
        self._existing: dict[str, None] = {}

    def seen(self, existing: Sequence[str]) -> None:
        """Note the columns of a row or a file."""
        if self._missing:
            self._missing.difference_update(existing)
            if len(self._existing) < 100:
                self._existing.update(dict.fromkeys(existing))

    def check(self, file: str, existing: Sequence[str]) -> None:
        """Raise SourceError for the first wanted column that a file does not have."""
        for name in self._order:
            if name not in existing:
                raise SourceError(f"{file}: has no column {name}; it has {', '.join(existing)}")

    def check_all(self, file: str) -> None:
        """Raise SourceError for the first wanted column that no row had."""
        self._existing.pop(self._id, None)
        for name in self._order:
            if name in self._missing:
                raise SourceError(f"{file}: no row has {name}; rows have {', '.join([self._id, *self._existing])}")

    def hint(self) -> str:
        """Return which columns there are, where no row had an id."""
        return f"; it has {', '.join(self._existing)}" if self._id in self._missing and self._existing else ""
