"""Judged questions, comparisons, decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A question with its known answers: JSON row key to gain."""

    id: str
    text: str
    relevant: Mapping[str, float]


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
