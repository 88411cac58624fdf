"""What came of a search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vector_assets.records import Comparison

TrialState = Literal["complete", "pruned", "failed"]
Setting = int | float | str


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial. ``value`` is its best look at validation, None of a failed one, whose ``error`` says why."""

    number: int
    state: TrialState
    settings: Mapping[str, Setting]
    value: float | None
    seconds: float
    key: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Searched:
    """The trials, and the best of them against trial 0, the declared settings, and against the untrained base.

    ``best`` is None where the base itself was best. ``test`` and ``test_accuracy`` compare the best with trial 0 on
    test, which was looked at after the choice was made; None where trial 0 failed. ``key`` is the training key that
    the best settings have without a search.
    """

    trials: tuple[Tried, ...]
    metric: str
    best: int | None
    settings: Mapping[str, Setting]
    key: str
    validation: float
    baseline_validation: float | None
    base_validation: float
    test: Comparison | None
    test_accuracy: Comparison | None = None
