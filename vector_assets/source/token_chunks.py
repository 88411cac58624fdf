"""Chunks of a fixed number of an encoder's own tokens, as offsets into the text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from vector_assets.records import ChunkRule
from vector_assets.source.cutting import cut, cut_to_size, is_joined, without_space
from vector_assets.source.sentences import Span

#: Where each token of a text stands, as [start, stop) in characters, without special tokens and without a limit.
TokenSpans = Callable[[str], Sequence[Span]]

# Tokenized at once: what a tokenizer notes of a token is some hundred bytes.
_AT_ONCE = 50_000
# A token that stands for more (an unknown word of a megabyte) counts as several.
_LONGEST = 100


def token_chunks(text: str, start: int, stop: int, rule: ChunkRule, tokens: TokenSpans) -> Iterator[Span]:
    """Yield chunks of at most ``rule.size`` tokens, each beginning with the last ``rule.overlap`` of the one before.

    Every chunk is counted by itself, since a piece of a word may have other tokens than the word has. Chunks end
    between words where one ends in their last quarter. What a tokenizer leaves out stays with the token before it.
    """
    starts = [*_starts(text, start, stop, tokens), stop]
    first, reached = 0, start
    while first < len(starts) - 1:
        last = min(first + rule.size, len(starts) - 1)
        if last < len(starts) - 1:
            last = _word_border(text, starts, last, max(first + 1, last - rule.size // 4))
        last, spans = _fitting(text, starts, first, last, rule.size, tokens)
        if starts[last] <= reached and starts[first] < reached:  # all of it overlaps
            first = next(place for place in range(first, len(starts)) if starts[place] >= reached)
            continue
        yield from spans
        reached = starts[last]
        if last == len(starts) - 1:
            return
        again = max(last - rule.overlap, first + 1)
        first = (
            next((at for at in range(again, last) if _is_word_start(text, starts[at])), last) if rule.overlap else last
        )


def _starts(text: str, start: int, stop: int, tokens: TokenSpans) -> Iterator[int]:
    """Where tokens begin, the first at ``start``; never inside a character with its marks."""
    before = start
    for begun, end in _blocks(text, start, stop):
        for place in sorted({begun, *(begun + first for first, _ in tokens(text[begun:end])), end}):
            if place >= stop or (place > before and place < end and is_joined(text, place)):
                continue
            if place - before > _LONGEST:
                (span,) = without_space(text, before, place) if text[before:place].strip() else [(before, before)]
                yield from (first for first, _ in cut_to_size(text, *span, _LONGEST) if first > before)
            if place > before or place == start:
                yield place
                before = place
    if stop - before > _LONGEST:
        yield from (first for first, _ in cut_to_size(text, before, stop, _LONGEST) if first > before)


def _blocks(text: str, start: int, stop: int) -> Iterator[Span]:
    while stop - start > _AT_ONCE:
        end = cut(text, start, start + _AT_ONCE)
        yield start, end
        start = end
    yield start, stop


def _is_word_start(text: str, place: int) -> bool:
    return text[place].isspace() or text[place - 1].isspace()


def _word_border(text: str, starts: Sequence[int], last: int, least: int) -> int:
    return next((at for at in range(last, least - 1, -1) if _is_word_start(text, starts[at])), last)


def _fitting(
    text: str, starts: list[int], first: int, last: int, size: int, tokens: TokenSpans
) -> tuple[int, list[Span]]:
    """Return up to which token a chunk goes that has no more than ``size`` of its own, and the chunk, if not blank."""
    while True:
        span = list(without_space(text, starts[first], starts[last]))
        count = len(tokens(text[slice(*span[0])])) if span else 0
        if count <= size or starts[last] - starts[first] == 1:
            return last, span
        if last == first + 1:  # one token that is many by itself: half of it
            starts.insert(last, starts[first] + max(1, (starts[last] - starts[first]) // 2))
            continue
        last = max(first + 1, last - (count - size))
