"""Whether what a search cites is what answers: the passages of the first hits against the judged ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vector_assets.metrics import Scores, bootstrap_interval
from vector_assets.records import JudgedPassage

#: Hits whose passages are looked at.
K = 5


class Span(NamedTuple):
    """[start, stop) of a row's text."""

    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Cited:
    """A hit: its row key, and what it cites of the row's text; None where it cites no passage."""

    key: str
    span: Span | None


@dataclass(frozen=True, slots=True)
class PassageRecall:
    """Share of questions one of whose first ``k`` hits cites a judged passage, with its 95 % interval.

    ``rows`` is the share of them that have a row with a judged passage among these hits, whatever is cited of it.
    """

    recall: float
    low: float
    high: float
    rows: float
    questions: int
    k: int = K


def locate(text: str, passage: JudgedPassage) -> Span | None:
    """Return where a judged passage stands in its row's text; None where it does not, or not any more.

    White space is one as long as the other. Of several places it is the first.
    """
    if passage.span is not None:
        start, stop = passage.span
        return Span(start, stop) if stop <= len(text) else None
    found = re.search(r"\s+".join(map(re.escape, passage.text.split())), text)
    return Span(*found.span()) if found else None


def overlaps(one: Span, other: Span) -> bool:
    """Tell whether at least half of the shorter one lies in the other (overlap coefficient of characters)."""
    shared = min(one.stop, other.stop) - max(one.start, other.start)
    return shared > 0 and 2 * shared >= min(one.stop - one.start, other.stop - other.start)


def passage_recall(cited: Sequence[Sequence[Cited]], judged: Sequence[Mapping[str, Sequence[Span]]]) -> PassageRecall:
    """Compare each question's hits, best first, with its judged passages by row key. Both in the same order."""
    right = np.array([any(_answers(hit, spans) for hit in hits[:K]) for hits, spans in zip(cited, judged, strict=True)])
    rows = [any(hit.key in spans for hit in hits[:K]) for hits, spans in zip(cited, judged, strict=True)]
    scores: Scores = right.astype(np.float64)
    return PassageRecall(float(scores.mean()), *bootstrap_interval(scores), float(np.mean(rows)), len(scores))


def _answers(hit: Cited, judged: Mapping[str, Sequence[Span]]) -> bool:
    return hit.span is not None and any(overlaps(hit.span, span) for span in judged.get(hit.key, ()))
