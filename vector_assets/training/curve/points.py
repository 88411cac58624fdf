"""The points of a learning curve, their means, and from how many rows on there is enough. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from vector_assets.spec import Start

#: How a start is called in a sentence.
_WORDS: Mapping[Start, str] = {"pretrained": "from pretrained weights", "scratch": "from scratch"}


@dataclass(frozen=True, slots=True)
class Point:
    """One training on ``rows`` of the training set. Scores are by the curve's metric; test was looked at once, last.

    ``gap`` is how much further what was learned from came than validation. Of a classification, texts of labels that
    the part does not hold count as wrong, so that all points are asked the same; ``base`` is step 0 on validation.
    """

    start: Start
    rows: int
    draw: int
    labels: int
    validation: float
    test: float
    base: float
    gap: float
    steps: int
    best_step: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A whole curve."""

    metric: str
    points: tuple[Point, ...]
    asked: tuple[int, ...]  # rows as declared
    train: int  # rows that there are
    report: tuple[str, ...] = field(default=())

    def series(self, start: Start, name: str) -> dict[int, list[float]]:
        """Return one value of each draw by rows, rising."""
        found: dict[int, list[float]] = {}
        for point in sorted(self.points, key=lambda one: (one.rows, one.draw)):
            if point.start == start:
                found.setdefault(point.rows, []).append(float(getattr(point, name)))
        return found

    @property
    def starts(self) -> tuple[Start, ...]:
        """In the order they were measured in."""
        return tuple(dict.fromkeys(point.start for point in self.points))

    @property
    def means(self) -> list[dict[str, str | int | float]]:
        """One line for each start and number of rows, the mean over its draws."""
        lines: list[dict[str, str | int | float]] = []
        for start in self.starts:
            columns = {name: self.series(start, name) for name in ("validation", "test", "base", "gap", "seconds")}
            for rows in columns["validation"]:
                values = {name: round(float(np.mean(column[rows])), 4) for name, column in columns.items()}
                lines.append({"start": start, "rows": rows, **values})
        return lines

    def warnings(self, max_gap: float) -> list[str]:
        """Say of each start where there is too little data, and from how many rows on there is enough."""
        said = []
        for start in self.starts:
            gaps = {rows: float(np.mean(found)) for rows, found in self.series(start, "gap").items()}
            wide = {rows: gap for rows, gap in gaps.items() if gap > max_gap}
            if not wide:
                continue
            enough = within_from(gaps, max_gap)
            worst = max(wide, key=lambda rows: wide[rows])
            ends = (
                f"from {enough} rows on it is within"
                if enough is not None
                else f"also with {max(gaps)} rows; expected more rows, or fewer layers that learn"
            )
            said.append(
                f"too little data {_WORDS[start]}: by {self.metric}, what was learned from came up to "
                f"{wide[worst]:.3f} further than validation ({worst} rows), more than max_gap {max_gap}; {ends}"
            )
        return said


def within_from(gaps: Mapping[int, float], most: float) -> int | None:
    """Return the fewest rows from which on every gap is at most ``most``; None where even the last is wider."""
    found: int | None = None
    for rows in sorted(gaps, reverse=True):
        if gaps[rows] > most:
            break
        found = rows
    return found


def known_share(labels: Sequence[str], known: Sequence[str]) -> float:
    """Return the share of held-out texts whose label can be said at all."""
    has = set(known)
    return sum(label in has for label in labels) / len(labels) if labels else 0.0
