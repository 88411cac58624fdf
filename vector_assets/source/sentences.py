"""Where sentences end, by rules: one pass, no model, the same answer everywhere.

A wrong border costs little, since sentences are only packed into chunks; speed and steadiness cost a lot when they
are missing. Hence rules of our own: the libraries that were measured hang, crash or crawl on some inputs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]  # [start, stop) in a text

# A run of marks is looked at from its first one only, and never given back: linear on a megabyte of dots.
_END = re.compile(
    r"""(?<![.!?…])(?P<marks>[.!?…]++)["'”’»)\]]*+(?=\s|\Z)"""
    r"""|[。！？｡．]++[」』”’）】》]*+"""
    r"""|\n(?=[^\S\n]*+(?:[-*•–]|\d{1,3}[.)])\s)"""
)
_OPENING = "\"'“‘«([-–—"
_NAMES = """
    mr mrs ms mx dr prof st sr jr rev hon gen col maj capt lt sgt gov sen rep pres messrs mme mlle
    e.g eg i.e ie cf viz vs etc al approx ca resp esp incl excl est dept univ inc ltd co corp bros
    fig figs eq eqs sec secs ch chap ref refs tab vol vols ed eds no nos p pp art para app
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
    z.b d.h u.a bzw usw ggf nr abs bd hr fr evtl vgl p.ex av sra
"""
_BOTH = "etc al inc ltd co corp bros jr sr est no sat sun mar art app ed"
#: Written with a full stop inside a sentence; some of them end one as well, when a capital follows.
_ABBREVIATIONS, _MAY_END = frozenset(_NAMES.split()), frozenset(_BOTH.split())
_LONGEST = 14


def sentences(text: str, start: int = 0, stop: int | None = None) -> Iterator[Span]:
    """Yield the sentences of ``text[start:stop]`` in order, without the space around them; together they hold all else.

    Ends at . ! ? … followed by space, at the full stops of Chinese and Japanese, and before the items of a list.
    Numbers, initials, common abbreviations and a small letter that follows keep a sentence together.
    """
    end = len(text) if stop is None else stop
    begun = _skip_space(text, start, end)
    for match in _END.finditer(text, begun, end):
        if match.start() < begun or (match["marks"] and not _is_end(text, match, begun, end)):
            continue
        yield from _trimmed(text, begun, match.end())
        begun = match.end()
    yield from _trimmed(text, begun, end)


def _is_end(text: str, match: re.Match[str], begun: int, end: int) -> bool:
    after = text[match.end() : min(match.end() + _LONGEST, end)].lstrip().lstrip(_OPENING)[:1]
    if after.islower():
        return False
    if match["marks"] != ".":
        return True
    words = text[max(begun, match.start() - _LONGEST) : match.start()].split()
    if not words or text[match.start() - 1].isspace():
        return True
    word = words[-1].lstrip(_OPENING).lower()
    if len(word) == 1 and word.isalpha():
        return False  # an initial
    if word.isdigit():
        return match.start() - len(word) - begun > 3  # "1. First" is one
    if word in _ABBREVIATIONS:
        return word in _MAY_END and after.isupper()
    return not ("." in word and all(len(piece) <= 2 for piece in word.split("."))) or after.isupper()


def _trimmed(text: str, start: int, stop: int) -> Iterator[Span]:
    piece = text[start:stop]
    left = len(piece) - len(piece.lstrip())
    right = len(piece.rstrip())
    if left < right:
        yield start + left, start + right


def _skip_space(text: str, start: int, stop: int) -> int:
    piece = text[start : min(start + 64, stop)]
    return start + len(piece) - len(piece.lstrip())
