"""Slices of the judged questions: a candidate that is better on the whole must not be much worse on a part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vector_assets.metrics import Scores, paired_bootstrap
from vector_assets.records import Comparison

LEVEL = 0.05  # how often any slice may be called worse when none is


@dataclass(frozen=True, slots=True)
class SliceFound:
    """One slice: its name such as ``topic=physics``, live against candidate on its questions, and what is said of it.

    ``few``: fewer questions than the declared ``slice_queries``; it is shown, not judged.
    """

    name: str
    comparison: Comparison
    said: Literal["holds", "worse", "few"]


def compare_slices(
    slices: Mapping[str, Sequence[int]], old: Scores, new: Scores, *, metric: str, drop: float, least: int
) -> tuple[SliceFound, ...]:
    """Compare live and candidate on each slice, the worst first. ``slices`` holds the places of its questions.

    A slice is worse when its score fell by more than ``drop`` and the fall is no chance: two-sided p of the paired
    bootstrap, corrected for the number of slices that are judged (Holm 1979), below 5 %. Asking for the whole interval
    to lie beyond ``drop`` would pass most falls of twice the size; asking for the fall alone would stop one candidate
    in two on nothing but noise, once there are a few dozen slices.
    """
    compared = {
        name: paired_bootstrap(old[list(places)], new[list(places)], metric=metric)
        for name, places in slices.items()
        if places
    }
    judged = sorted((name for name, each in compared.items() if each.queries >= least), key=lambda n: compared[n].p)
    worse = set()
    for rank, name in enumerate(judged):
        if compared[name].p > LEVEL / (len(judged) - rank):
            break
        if compared[name].difference < -drop:
            worse.add(name)
    found = [
        SliceFound(name, each, "few" if each.queries < least else "worse" if name in worse else "holds")
        for name, each in compared.items()
    ]
    return tuple(sorted(found, key=lambda each: (each.said == "few", each.comparison.difference, each.name)))
