"""Row keys as text: the one form in which labels, judgements and pairs name a row."""

from __future__ import annotations

import json
from collections.abc import Sequence

from vector_assets.errors import SourceError
from vector_assets.records import Key, KeyColumn

INTEGER_TYPES = frozenset({"smallint", "integer", "bigint"})


def row_key(key: Key) -> str:
    """Return a key as a JSON array without spaces: ``("4983",)`` is ``["4983"]``, ``(4983,)`` is ``[4983]``.

    What JSON has no form for (uuid, date) is its text.
    """
    return json.dumps(list(key), separators=(",", ":"), ensure_ascii=False, default=str)


def parse_key(text: str, columns: Sequence[KeyColumn], where: str) -> Key:
    """Read a key as people write it: the bare value of a single column, or a JSON array of all columns."""
    parts: list[object] = [text]
    if len(columns) > 1:
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = None
        names = ", ".join(column.name for column in columns)
        if not isinstance(parsed, list) or len(parsed) != len(columns):
            raise SourceError(f"{where}: key {text!r}; expected a JSON array of {names}")
        parts = parsed
    return tuple(_part(part, column, where) for part, column in zip(parts, columns, strict=True))


def _part(part: object, column: KeyColumn, where: str) -> str | int:
    if column.type not in INTEGER_TYPES:
        return str(part)
    try:
        return int(str(part))
    except ValueError:
        raise SourceError(f"{where}: key {part!r}; {column.name} is {column.type}, expected a whole number") from None
