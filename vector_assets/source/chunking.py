"""A text becomes chunks: spans of it that each get a vector of their own.

Borders depend on the text around them only. By sentence and paragraph, packing starts anew at every paragraph, so that
an edit in one leaves the chunks of all others as they were; inside a long paragraph it starts anew where a line ends
with its sentence, and after one sentence in sixteen, chosen by its own text (content-defined chunking, Muthitacharoen
et al. 2001).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from vector_assets.records import ChunkRule
from vector_assets.source.code_chunks import code_chunks
from vector_assets.source.cutting import Split, paragraphs, pieces, units
from vector_assets.source.markdown import markdown_chunks
from vector_assets.source.sentences import Span, sentences
from vector_assets.source.spacy_sentences import spacy_sentences
from vector_assets.source.token_chunks import TokenSpans, token_chunks

_WORD_START = re.compile(r"(?<!\S)\S")
_CLOSED = tuple('.!?…。！？"”’)')
_RESTART_EVERY = 16


@dataclass(frozen=True, slots=True)
class Cut:
    """The chunks of a text. ``parsed`` is False of code that nothing could parse: it was cut by paragraphs instead."""

    spans: list[Span]
    parsed: bool = True


def cut_text(text: str, rule: ChunkRule, borders: Sequence[int] = (), tokens: TokenSpans | None = None) -> Cut:
    """Cut a text into chunks: [start, stop) in characters, in order, none longer than ``rule.size``.

    Everything but space is in some chunk, and without overlap or windows in one only. ``borders`` are places that no
    chunk reaches across, such as where a field begins. A word longer than the limit is cut, never inside a character
    with its marks. Nothing in, nothing out. ``tokens`` tells where an encoder's tokens stand; by tokens, sizes are
    counted in those, and ValueError is raised without it.
    """
    found: list[Span] = []
    parsed: list[bool] = []
    for start, stop in pieces(text, borders):
        match rule.by:
            case "tokens":
                if tokens is None:
                    raise ValueError("chunks by tokens need the encoder's tokenizer")
                found += token_chunks(text, start, stop, rule, tokens)
            case "markdown":
                found += markdown_chunks(text, start, stop, rule.size)
            case "code":
                by_syntax = code_chunks(text, start, stop, rule.size, rule.language)
                found += _by_paragraph(text, start, stop, rule) if by_syntax is None else by_syntax
                parsed.append(by_syntax is not None)
            case "window":
                for paragraph in paragraphs(text, start, stop):
                    found += _windows(list(units(text, *paragraph, rule.size, _split(rule))), rule)
            case "sentence":
                for paragraph in paragraphs(text, start, stop):
                    found += _pack(text, list(units(text, *paragraph, rule.size, _split(rule))), rule)
            case "paragraph":
                found += _by_paragraph(text, start, stop, rule)
    return Cut(found, any(parsed) or not parsed)


def chunk_spans(
    text: str, rule: ChunkRule, borders: Sequence[int] = (), tokens: TokenSpans | None = None
) -> list[Span]:
    """Return the spans of ``cut_text``."""
    return cut_text(text, rule, borders, tokens).spans


def _split(rule: ChunkRule) -> Split:
    return partial(spacy_sentences, rule.language) if rule.splitter == "spacy" else sentences


def _by_paragraph(text: str, start: int, stop: int, rule: ChunkRule) -> Iterator[Span]:
    for first, last in paragraphs(text, start, stop):
        if last - first <= rule.size:
            yield first, last
        else:
            yield from _pack(text, list(units(text, first, last, rule.size, _split(rule))), rule)


def _windows(sentences: Sequence[Span], rule: ChunkRule) -> Iterator[Span]:
    """Slide over the sentences of one paragraph; a window that would be too long has fewer, and none is inside another.

    Fewer sentences than a window has are one window.
    """
    first, reached = 0, -1
    while first < len(sentences):
        last = first
        while (
            last + 1 < min(first + rule.sentences, len(sentences))
            and sentences[last + 1][1] - sentences[first][0] <= rule.size
        ):
            last += 1
        if last > reached:
            yield sentences[first][0], sentences[last][1]
            reached = last
        if last + 1 == len(sentences):
            return
        first += min(rule.stride, last + 1 - first)


def _pack(text: str, found: Sequence[Span], rule: ChunkRule) -> Iterator[Span]:
    """Put units together up to the limit; each begins with the last ``rule.overlap`` characters of the one before."""
    if not found:
        return
    start, stop = found[0]
    for before, unit in pairwise(found):
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
