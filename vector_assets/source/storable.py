"""What Postgres text can hold: everything but NUL and half of a surrogate pair."""

from __future__ import annotations

import re

_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """Return the text with each character that Postgres cannot hold replaced by U+FFFD."""
    return _NOT_STORABLE.sub("\ufffd", text)


def is_storable(text: str) -> bool:
    """Tell whether Postgres can hold the text as it is."""
    return _NOT_STORABLE.search(text) is None


def what_is_not_storable(text: str) -> str:
    """Name the first character that Postgres cannot hold, and where it stands."""
    at = _NOT_STORABLE.search(text)
    if at is None:
        return ""
    return f"{'a NUL character' if at.group() == chr(0) else 'half a surrogate pair'} at position {at.start()}"
