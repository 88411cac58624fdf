"""The text of a row, as a text encoder reads it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vector_assets.records import Value


def row_text(values: Sequence[Value]) -> str:
    """Join the fields' values by line breaks, leaving out what is missing or blank.

    Names of fields are not part of the text: they would make all rows alike. Returns "" for a row without text.
    """
    return "\n".join(text for text in map(_shown, values) if text)


def _shown(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()
