"""Whether search is as good as it was and has to be: a score in a range, where software would test for equality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quality:
    """The outcome of the check, in a sentence and in numbers. It does not block: the gate decides what goes live."""

    passed: bool
    summary: str
    numbers: Mapping[str, float]


def check_quality(
    metric: str, score: float | None, *, floor: float | None, before: float | None, drift: float
) -> Quality:
    """Judge a score against the declared floor and against what live scored before.

    ``score`` is None where there are no judged queries: that is said, and passes.
    """
    if score is None:
        return Quality(True, f"{metric} is not known: there are no judged queries, declare evaluation", {})
    numbers = {metric: score, "drift": drift}
    faults = []
    if floor is not None:
        numbers["floor"] = floor
        if score < floor:
            faults.append(f"below the declared floor {floor:.3f}")
    if before is not None:
        numbers["before"] = before
        if score < before - drift:
            faults.append(f"more than {drift:.3f} below the {before:.3f} that live scored before")
    said = "; ".join(faults) or "within its range"
    return Quality(not faults, f"{metric} is {score:.3f}: {said}", numbers)
