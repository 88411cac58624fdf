"""What an encoder reads of a row: its text, or its image."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import accumulate

from vector_assets.records import ChunkRule, Input, Kind, Value
from vector_assets.source.chunking import Cut, cut_text
from vector_assets.source.markdown import heading_path
from vector_assets.source.token_chunks import TokenSpans


def row_input(values: Sequence[Value], kind: Kind) -> Input:
    """Return what an encoder of some kind reads of a row; "" where there is nothing to read."""
    if kind == "text":
        return row_text(values)
    (image,) = values
    if image is None:
        return ""
    if not isinstance(image, bytes):
        raise TypeError(f"expected the bytes of an image, found {type(image).__name__}")
    return image


def row_text(values: Sequence[Value]) -> str:
    """Join the fields' values by line breaks, leaving out what is missing or blank.

    Names of fields are not part of the text: they would make all rows alike. Returns "" for a row without text.
    """
    return "\n".join(field_texts(values))


def field_texts(values: Sequence[Value]) -> list[str]:
    """Return the texts that ``row_text`` joins: one for each field that has any."""
    return [text for text in map(_shown, values) if text]


def row_chunks(values: Sequence[Value], rule: ChunkRule, tokens: TokenSpans | None = None) -> tuple[str, Cut]:
    """Return a row's text and its chunks as [start, stop) in it. No chunk reaches from one field into the next.

    ``tokens`` are the encoder's, for chunks by tokens.
    """
    texts = field_texts(values)
    borders = list(accumulate(len(text) + 1 for text in texts))[:-1]
    text = "\n".join(texts)
    return text, cut_text(text, rule, borders, tokens)


def row_headings(values: Sequence[Value], place: int) -> tuple[str, ...]:
    """Return the headings of markdown that a place in a row's text stands below, those of its own field only."""
    text, start = row_text(values), 0
    for field in field_texts(values):
        if place <= start + len(field):
            return heading_path(text[: start + len(field)], place, start)
        start += len(field) + 1
    return ()


def _shown(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()
