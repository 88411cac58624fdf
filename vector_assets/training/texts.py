"""Small things that training sets do to texts and names."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

_SPACE = re.compile(r"\s+")


def plain(text: str) -> str:
    """Return the text with every run of white space as one space: what is equal then is an exact duplicate."""
    return _SPACE.sub(" ", text)


def hash_of(seed: int, text: str) -> str:
    """Return sha256 of seed and text, in hex: what is drawn by it does not depend on the order of rows."""
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).hexdigest()


def text_digest(text: str) -> bytes:
    """Return 32 bytes that two texts share when they are exact duplicates."""
    return hashlib.sha256(plain(text.strip()).encode("utf-8", "surrogatepass")).digest()


def some(groups: Sequence[str]) -> str:
    """Return the first names of many, for a message."""
    return ", ".join(groups[:8]) + (f", … {len(groups)} in all" if len(groups) > 8 else "")
