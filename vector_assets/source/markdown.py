"""Markdown in sections: where headings are (CommonMark, ATX and underlined), what stands below each, and its path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from vector_assets.source.cutting import cut_to_size, lines, paragraphs, units, without_space
from vector_assets.source.sentences import Span

_MARK = re.compile(r" {0,3}(#{1,6}+|`{3,}+|~{3,}+|=++(?=\s*+\Z)|-{2,}+(?=\s*+\Z))")
_MATTER = re.compile(r"---[ \t]*+(?:\r\n|\n)(?=[\w\"'-]+[ \t]*:)")
_MATTER_END = re.compile(r"^(?:---|\.\.\.)[ \t]*+(?:\r\n|\n|\Z)", re.MULTILINE)
_LONGEST_TITLE = 200  # of an underlined heading
_NO_TITLE = ("#", ">", "-", "*", "+", "|", "=", "`", "~", "<")  # begins what an underline makes no heading of


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading: where its line begins and its text below starts, its level from 1 to 6, and its words."""

    start: int
    stop: int
    level: int
    title: str


def headings(text: str, start: int = 0, stop: int | None = None) -> list[Heading]:
    """Return the headings of ``text[start:stop]`` in order. Those inside of fenced code and front matter are none."""
    return _read(text, start, len(text) if stop is None else stop)[0]


def heading_path(text: str, place: int, start: int = 0) -> tuple[str, ...]:
    """Return the titles that a place stands below, the outermost first; ``text`` is read from ``start`` on."""
    path: list[Heading] = []
    for heading in headings(text, start):
        if heading.start > place:
            break
        path = [*(above for above in path if above.level < heading.level), heading]
    return tuple(heading.title for heading in path)


def markdown_chunks(text: str, start: int, stop: int, size: int) -> Iterator[Span]:
    """Yield a chunk for each section of ``text[start:stop]``, heading included; longer ones are cut up.

    A section ends at the next heading of any level. A heading with nothing below it goes with the section that
    follows. Long sections are cut between paragraphs and blocks of code, those between sentences and lines.
    """
    found, fences = _read(text, start, stop)
    edges = [start]
    before: Heading | None = None
    for heading in found:
        bare = before and before.level < heading.level and not text[before.stop : heading.start].strip()
        if not bare or heading.stop - edges[-1] > size // 2:
            edges.append(heading.start)
        before = heading
    for first, last in pairwise([*edges, stop]):
        for section in without_space(text, first, last):
            if section[1] - section[0] <= size:
                yield section
            else:
                yield from _cut_up(text, list(_blocks(text, section, found, fences)), size)


def _cut_up(text: str, blocks: list[tuple[Span, bool]], size: int) -> Iterator[Span]:
    """Put blocks together up to the size. What follows a heading is cut rather than parted from it."""
    held: Span | None = None
    for (start, stop), code in blocks:
        if held and stop - held[0] <= size:
            held = held[0], stop
            continue
        room = size - (start - held[0]) if held and held[1] - held[0] <= size // 4 else 0
        split = _code_lines if code else units
        parts: list[Span] = []
        if room >= size // 2:
            parts = list(split(text, start, stop, room))
        elif stop - start > size:
            parts = list(split(text, start, stop, size))
        for part in parts or [(start, stop)]:
            if held and part[1] - held[0] <= size:
                held = held[0], part[1]
            else:
                if held:
                    yield held
                held = part
    if held:
        yield held


def _code_lines(text: str, start: int, stop: int, size: int) -> Iterator[Span]:
    for line in lines(text, start, stop):
        for first, last in without_space(text, *line):
            yield from cut_to_size(text, first, last, size)


def _blocks(text: str, section: Span, found: list[Heading], fences: list[Span]) -> Iterator[tuple[Span, bool]]:
    """Yield headings, paragraphs, and blocks of code (with True) of a section, in order."""
    start, stop = section
    cuts = {start: False} | {fence[0]: True for fence in fences if start <= fence[0] < stop}
    for place in (*(each[1] for each in fences), *(each for one in found for each in (one.start, one.stop))):
        if start < place < stop:
            cuts.setdefault(place, False)
    for first, last in pairwise([*sorted(cuts), stop]):
        if cuts[first]:
            yield from ((span, True) for span in without_space(text, first, last))
        else:
            yield from ((span, False) for span in paragraphs(text, first, last))


def _read(text: str, start: int, stop: int) -> tuple[list[Heading], list[Span]]:
    """Return headings, and blocks of fenced code. A fence that is left open goes to the end, as in CommonMark."""
    found: list[Heading] = []
    fences: list[Span] = []
    fence, opened = "", 0
    above: Span | None = None  # a line of words alone, which an underline makes a heading
    apart = True  # the line above is blank, or no words
    for first, last in lines(text, _front_matter(text, start, stop), stop):
        mark = _MARK.match(text, first, last)
        sign, after = (mark[1], mark.end()) if mark else ("", first)
        if fence:
            if sign.startswith(fence) and not text[after:last].strip():
                fences.append((opened, last))
                fence = ""
            continue
        underline = sign[:1] in ("=", "-")
        if sign[:1] == "~" or (sign[:1] == "`" and text.find("`", after, last) < 0):
            fence, opened, above, apart = sign, first, None, True
        elif sign[:1] == "#" and (after == last or text[after].isspace()):
            found.append(Heading(first, last, len(sign), _title(text[after:last])))
            above, apart = None, True
        elif underline and above:
            found.append(Heading(above[0], last, 1 if sign[0] == "=" else 2, text[slice(*above)].strip()))
            above, apart = None, True
        else:
            words = last - first <= _LONGEST_TITLE and not text[first:last].lstrip().startswith(_NO_TITLE)
            blank = text[first:last].isspace()
            above = (first, last) if apart and words and not blank else None
            apart = blank
    if fence:
        fences.append((opened, stop))
    return found, fences


def _title(words: str) -> str:
    """Return the words of a heading without the marks that may close it."""
    title = words.strip()
    bare = title.rstrip("#")
    return bare.rstrip() if not bare or bare[-1].isspace() else title


def _front_matter(text: str, start: int, stop: int) -> int:
    """Where the text begins: behind YAML between two lines of three dashes, where it begins with that."""
    opening = _MATTER.match(text, start, stop)
    closing = _MATTER_END.search(text, opening.end(), stop) if opening else None
    return closing.end() if closing else start
