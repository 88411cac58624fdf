"""Where a text may be cut: at paragraphs, sentences and words, never inside a character with its marks."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from vector_assets.source.sentences import Span, sentences

#: Yields the sentences of ``text[start:stop]``.
Split = Callable[[str, int, int], Iterator[Span]]

# A blank line. The run of space has one place to start in each line, so a megabyte of spaces is read once.
_PARAGRAPH_END = re.compile(r"\n[^\S\n]*+\n\s*+|[\f\u2029]\s*+")
_LINE = re.compile(r"[^\r\n]*+(?:\r\n|\r|\n|\Z)")
_MARKS_AT_MOST = 32  # of one character; more are cut apart


def pieces(text: str, borders: Sequence[int]) -> Iterator[Span]:
    """Yield what lies between the borders, such as the fields of a row; blank ones are left out."""
    edges = [0, *sorted(border for border in borders if 0 < border < len(text)), len(text)]
    for first, last in pairwise(edges):
        yield from without_space(text, first, last)


def paragraphs(text: str, start: int, stop: int) -> Iterator[Span]:
    """Yield what lies between blank lines of ``text[start:stop]``."""
    begun = start
    for match in _PARAGRAPH_END.finditer(text, start, stop):
        yield from without_space(text, begun, match.start())
        begun = match.end()
    yield from without_space(text, begun, stop)


def lines(text: str, start: int, stop: int) -> Iterator[Span]:
    """Yield the lines of ``text[start:stop]`` with their ends: CR LF, CR or LF, as editors and compilers see them."""
    for match in _LINE.finditer(text, start, stop):
        if match.end() > match.start():
            yield match.span()


def without_space(text: str, start: int, stop: int) -> Iterator[Span]:
    """Yield the span without the space around it; nothing where it is blank."""
    piece = text[start:stop]
    left, right = len(piece) - len(piece.lstrip()), len(piece.rstrip())
    if left < right:
        yield start + left, start + right


def units(text: str, start: int, stop: int, size: int, split: Split = sentences) -> Iterator[Span]:
    """Sentences, the long ones cut at the last space before the limit."""
    for first, last in split(text, start, stop):
        yield from cut_to_size(text, first, last, size)


def cut_to_size(text: str, first: int, last: int, size: int) -> Iterator[Span]:
    """Cut a span without space around it into such spans, none longer than ``size``."""
    begun = first
    while last - begun > size:
        end = cut(text, begun, begun + size)
        yield from without_space(text, begun, end)
        begun = end
        while text[begun].isspace():
            begun += 1
    yield begun, last


def cut(text: str, start: int, limit: int) -> int:
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
        if not is_joined(text, place):
            return place
    return limit


def is_joined(text: str, place: int) -> bool:
    """Tell whether what stands here is a part of the character before: accents, joiners, variation, skin tones."""
    character = text[place]
    return (
        unicodedata.category(character) in ("Mn", "Mc", "Me")
        or character == "\u200d"
        or "\U0001f3fb" <= character <= "\U0001f3ff"
        or (place > 0 and text[place - 1] == "\u200d")
    )
