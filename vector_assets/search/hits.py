"""What a search gives: rows with their scores, and the passage that each was found by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from vector_assets.embedding.text import row_headings, row_text
from vector_assets.records import Part, Value
from vector_assets.records.calibration import Floor
from vector_assets.search.ask import Method


@dataclass(frozen=True, slots=True)
class Passage:
    """The chunk that a row was found by: its number, and [start, stop) of the row's text.

    ``text`` is cut from the row as it is now; ``stale`` tells that it is no longer what was encoded. ``headings`` are
    those that it stands below, the outermost first, where the chunks are sections of markdown.
    """

    number: int
    text: str
    start: int
    stop: int
    stale: bool = False
    headings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """One row found: its id, its score by the method asked, its fields, and whether the row has moved on since.

    ``key`` is the JSON row key that judgements and labels use. A row in chunks is found once, by its best ``chunk``.
    ``parts`` are the scores that the method made its own of, by name. ``probability`` is
    how likely it is right, where the method's scores are calibrated.
    """

    id: str
    key: str
    score: float
    row: Mapping[str, Value]
    stale: bool = False
    chunk: Passage | None = None
    parts: Mapping[str, float] = field(default_factory=dict)
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Hits:
    """The answer to one question. ``ms`` is all of it, encoding included.

    ``reranked_by`` is the digest of the cross-encoder that gave the scores, where one did; ``floor`` is what a
    precision left out.
    """

    hits: tuple[Hit, ...]
    method: Method
    generation: int
    ms: float
    reranked_by: str | None = None
    floor: Floor | None = None


@dataclass(frozen=True, slots=True)
class AskedVector:
    """A question as a vector of unit length, and what encoded it, which SQL of the user's own should name."""

    values: tuple[float, ...]
    checkpoint: str


def passage(
    part: Part, row: Mapping[str, Value], *, number: int, start: int, stop: int, digest: bytes
) -> Passage | None:
    """Cut the passage that was encoded from the row's text of today; None for a vector without text of its own."""
    if start == stop:
        return None
    values = [row[name] for name in part.fields]
    text = row_text(values)[start:stop]
    above = row_headings(values, start) if part.chunk and part.chunk.by == "markdown" else ()
    return Passage(number, text, start, stop, stale=hashlib.sha256(text.encode()).digest() != digest, headings=above)
