"""A text becomes chunks: spans of it that each get a vector of their own.

Borders depend on the text around them only. Packing starts anew at every paragraph, so that an edit in one leaves the
chunks of all others as they were; inside a long paragraph it starts anew where a line ends with its sentence, and
after one sentence in sixteen, chosen by its own text (content-defined chunking, Muthitacharoen et al. 2001).
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

from vector_assets.records import ChunkRule
from vector_assets.source.sentences import Span, sentences

# A blank line. The run of space has one place to start in each line, so a megabyte of spaces is read once.
_PARAGRAPH_END = re.compile(r"\n[^\S\n]*+\n\s*+|[\f\u2029]\s*+")
_WORD_START = re.compile(r"(?<!\S)\S")
_CLOSED = tuple('.!?…。！？"”’)')
_RESTART_EVERY = 16
_MARKS_AT_MOST = 32  # of one character; more are cut apart


def chunk_spans(text: str, rule: ChunkRule, borders: Sequence[int] = ()) -> list[Span]:
    """Cut a text into chunks: [start, stop) in characters, in order, none longer than ``rule.size``.

    Everything but space is in some chunk, and without overlap in one only. ``borders`` are places that no chunk
    reaches across, such as where a field begins. A word longer than the limit is cut, never inside a character with
    its marks. Nothing in, nothing out.
    """
    found: list[Span] = []
    for start, stop in _paragraphs(text, borders):
        if rule.by == "paragraph" and stop - start <= rule.size:
            found.append((start, stop))
        else:
            found += _pack(text, list(_units(text, start, stop, rule.size)), rule)
    return found


def _paragraphs(text: str, borders: Sequence[int]) -> Iterator[Span]:
    edges = [0, *sorted(border for border in borders if 0 < border < len(text)), len(text)]
    for first, last in pairwise(edges):
        begun = first
        for match in _PARAGRAPH_END.finditer(text, first, last):
            yield from _without_space(text, begun, match.start())
            begun = match.end()
        yield from _without_space(text, begun, last)


def _without_space(text: str, start: int, stop: int) -> Iterator[Span]:
    piece = text[start:stop]
    left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
    if left < right:
        yield start + left, start + right


def _units(text: str, start: int, stop: int, size: int) -> Iterator[Span]:
    """Sentences, the long ones cut at the last space before the limit."""
    for first, last in sentences(text, start, stop):
        begun = first
        while last - begun > size:
            cut = _cut(text, begun, begun + size)
            yield from _without_space(text, begun, cut)
            begun = cut
            while text[begun].isspace():
                begun += 1
        yield begun, last


def _cut(text: str, start: int, limit: int) -> int:
    """Where to cut before ``limit``: at a space, else between two characters."""
    piece = text[start:limit]
    if text[limit].isspace():
        return limit
    if piece[-1].isspace():
        return start + len(piece.rstrip())
    words = piece.rsplit(None, 1)
    if len(words) == 2:
        return limit - len(words[1])
    for place in range(limit, max(start, limit - _MARKS_AT_MOST), -1):
        if not _joins(text[place]) and text[place - 1] != "\u200d":
            return place
    return limit


def _joins(character: str) -> bool:
    """Tell whether a character belongs to the one before it: accents, joiners, variation and skin tone marks."""
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
    )


def _pack(text: str, units: Sequence[Span], rule: ChunkRule) -> Iterator[Span]:
    """Put units together up to the limit; each begins with the last ``rule.overlap`` characters of the one before."""
    if not units:
        return
    start, stop = units[0]
    for before, unit in pairwise(units):
        anew = _starts_anew(text, before, unit)
        if anew or unit[1] - start > rule.size:
            yield start, stop
            # Anew means that nothing before the last sentence matters.
            start = _overlapping(text, unit, max(stop - rule.overlap, before[0] if anew else 0), rule)
        stop = unit[1]
    yield start, stop


def _starts_anew(text: str, before: Span, unit: Span) -> bool:
    said = text[slice(*before)]
    if said.endswith(_CLOSED) and "\n" in text[before[1] : unit[0]]:
        return True
    return zlib.crc32(said.encode("utf-8", "surrogatepass")) % _RESTART_EVERY == 0


def _overlapping(text: str, unit: Span, earliest: int, rule: ChunkRule) -> int:
    """Where the next chunk begins: at the first word of the overlap that leaves room for the unit."""
    earliest = max(earliest, unit[1] - rule.size)
    if not rule.overlap or earliest >= unit[0]:
        return unit[0]
    found = _WORD_START.search(text, earliest, unit[0])
    return found.start() if found else unit[0]
