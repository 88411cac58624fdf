"""Context for a model that writes: passages of the rows found, word for word, cited, within a budget of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vector_assets.source.sentences import sentences

#: Two passages with this share of their runs of words in common (Jaccard) say the same.
NEAR: Final = 0.8
SHINGLE: Final = 5  # words

#: Counts the tokens of a text.
Count = Callable[[str], int]
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A piece of a row that may be cited: [start, stop) of the row's text, as it stands there now.

    ``key`` is the row's JSON key, ``id`` what people see of it. ``n`` is its mark where it is cited: [1], [2] and so
    on; 0 before.
    """

    id: str
    key: str
    text: str
    score: float
    start: int
    stop: int
    stale: bool = False
    n: int = 0


@dataclass(frozen=True, slots=True)
class Context:
    """Passages in the order of their scores. ``tokens`` is what the whole of ``text`` has, never over the budget.

    ``answered`` is False where the best of what was found is too far from the question to answer it, or nothing of it
    can be cited; there are no passages then, and ``why`` says it. ``counted_by`` names the tokenizer.
    """

    passages: tuple[Excerpt, ...]
    tokens: int
    budget: int
    counted_by: str
    answered: bool
    method: str = "vector"
    generation: int = 0
    ms: float = 0.0
    why: str = ""

    @property
    def text(self) -> str:
        """What a model is given: each passage after its mark."""
        return rendered(self.passages)


def rendered(passages: Iterable[Excerpt]) -> str:
    """Return the passages as one text, each after its mark."""
    return "\n\n".join(f"[{one.n}] {one.text}" for one in passages)


def cited(
    excerpts: Sequence[Excerpt], whole: Callable[[str], str], count: Count, *, tokens: int
) -> tuple[tuple[Excerpt, ...], int]:
    """Return passages within a budget of tokens, and what they have together.

    Excerpts come best first. Each is taken when it says something new and still fits; of the first that does not fit,
    as many whole sentences as do. ``whole`` returns the text of a row by its key: pieces of one row that touch
    become one passage, at the place of the better one.
    """
    taken: list[Excerpt] = []
    said: list[frozenset[tuple[str, ...]]] = []
    for one in excerpts:
        mine = shingles(one.text)
        if not one.text.strip() or any(jaccard(mine, other) >= NEAR for other in said):
            continue
        if (grown := _fitting([*taken, one], whole, count, tokens)) is not None:
            taken = grown
            said.append(mine)
        elif (short := _shortened(one, taken, whole, count, tokens)) is not None:
            taken = short
            break
    passages = _numbered(taken)
    return passages, count(rendered(passages)) if passages else 0


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """Return the runs of five words in a text, in small letters (Broder 1997); a shorter text is one run."""
    words = tuple(_WORD.findall(text.casefold()))
    last = max(len(words) - SHINGLE, 0)
    return frozenset(words[start : start + SHINGLE] for start in range(last + 1))


def jaccard(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    """Return what two sets have in common, as a share of what they have together."""
    return len(a & b) / len(a | b)


def merged(excerpts: Sequence[Excerpt], whole: Callable[[str], str]) -> list[Excerpt]:
    """Return excerpts with those of one row joined that overlap, or have nothing but space between them."""
    found: list[Excerpt] = []
    for one in excerpts:
        joined, place = one, None
        again = True
        while again:  # a piece between two others joins all three
            again = False
            for at, other in enumerate(found):
                if other.key == joined.key and _touch(other, joined, whole):
                    joined, place = _joined(other, joined, whole), at if place is None else min(place, at)
                    del found[at]
                    again = True
                    break
        found.insert(len(found) if place is None else place, joined)
    return found


def _touch(a: Excerpt, b: Excerpt, whole: Callable[[str], str]) -> bool:
    first, second = sorted((a, b), key=lambda one: one.start)
    return not whole(a.key)[first.stop : second.start].strip()


def _joined(a: Excerpt, b: Excerpt, whole: Callable[[str], str]) -> Excerpt:
    start, stop = min(a.start, b.start), max(a.stop, b.stop)
    score, stale = max(a.score, b.score), a.stale or b.stale
    return replace(a, text=whole(a.key)[start:stop], score=score, start=start, stop=stop, stale=stale)


def _fitting(
    excerpts: Sequence[Excerpt], whole: Callable[[str], str], count: Count, tokens: int
) -> list[Excerpt] | None:
    found = merged(excerpts, whole)
    return found if count(rendered(_numbered(found))) <= tokens else None


def _shortened(
    one: Excerpt, taken: Sequence[Excerpt], whole: Callable[[str], str], count: Count, tokens: int
) -> list[Excerpt] | None:
    """Take the beginning of an excerpt, in whole sentences; None where not even the first one fits."""
    stops = [stop for _, stop in sentences(one.text)]
    low, high, best = 0, len(stops), None
    while low < high:  # the longest beginning that fits, by bisection
        middle = (low + high) // 2
        part = replace(one, text=one.text[: stops[middle]], stop=one.start + stops[middle])
        found = _fitting([*taken, part], whole, count, tokens)
        low, high, best = (middle + 1, high, found) if found is not None else (low, middle, best)
    return best


def _numbered(excerpts: Sequence[Excerpt]) -> tuple[Excerpt, ...]:
    found = []
    for n, one in enumerate(excerpts, start=1):
        start = one.start + len(one.text) - len(one.text.lstrip())
        text = one.text.strip()
        found.append(replace(one, n=n, text=text, start=start, stop=start + len(text)))
    return tuple(found)
