"""Judged questions, comparisons, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class JudgedPassage:
    """The part of a row that answers: its text, or [start, stop) of what the chunked space reads of the row."""

    text: str = ""
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A question with its known answers: JSON row key to gain.

    ``slice`` is the part of the questions that its file puts it in. ``among`` are the only rows that are looked at,
    all when None; ``own`` is the row that the question was taken from, which is no answer. ``passages`` are the parts
    of rows that answer, where somebody judged so far.
    """

    id: str
    text: str
    relevant: Mapping[str, float]
    slice: str = ""
    among: frozenset[str] | None = None
    own: str = ""
    passages: Mapping[str, tuple[JudgedPassage, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Paired bootstrap of one metric: means, mean difference (new - old), its 95 % interval, two-sided p."""

    metric: str
    queries: int
    old: float
    new: float
    difference: float
    low: float
    high: float
    p: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What the gate says of a candidate, and why in one sentence."""

    decision: Literal["promote", "keep", "needs_evaluation"]
    reason: str
    comparison: Comparison | None = None
