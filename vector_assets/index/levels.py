"""Labels that are paths, such as ``animal/dog/chihuahua``: at which of their levels the space tells texts apart.

Two dogs are alike among animals and different among dogs, so no single similarity says whether a space is good. At each
level two texts belong together where the first parts of their labels are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vector_assets.metrics import Rankings, average_precision


@dataclass(frozen=True, slots=True)
class Level:
    """One level, 1 the first part alone: how many labels and questions it has, MAP, and MAP of an order by chance.

    The fewer labels a level has the more is right by chance, so that levels compare by how far ``map`` is above
    ``chance``.
    """

    level: int
    labels: int
    queries: int
    map: float
    chance: float


def level_scores(rankings: Rankings, labels: Mapping[str, str], *, separator: str) -> tuple[Level, ...]:
    """Return mean average precision at each level of the labels.

    ``rankings`` hold for each asking row all the others, best first. ``labels`` are those of the same rows. At a level
    a row asks for those whose labels have the same first parts; where there are none it asks nothing, and may be found.
    A label with fewer parts has no place below its last one: there the row neither asks nor is found. Parts lose the
    white space around them, and empty ones do not count.
    """
    paths = {key: _parts(label, separator) for key, label in labels.items()}
    found = []
    for level in range(1, max(map(len, paths.values()), default=0) + 1):
        cut = {key: path[:level] for key, path in paths.items() if len(path) >= level}
        sizes = Counter(cut.values())
        asking = [key for key in cut if sizes[cut[key]] > 1]
        if asking:
            precisions = [_precision(rankings[key], key, cut) for key in asking]
            by_chance = [chance(sizes[cut[key]] - 1, len(cut) - 1) for key in asking]
            found.append(
                Level(level, len(sizes), len(asking), float(np.mean(precisions)), float(np.mean(by_chance)))
            )  # fmt: skip
    return tuple(found)


def chance(right: int, rows: int) -> float:
    """Return the expected average precision of ``rows`` in random order, of which ``right`` (at least 1) are right.

    At place i a right row has i - 1 before it, of which a share of (right - 1) / (rows - 1) is right as well.
    """
    if rows == right:
        return 1.0
    harmonic = float((1 / np.arange(1, rows + 1)).sum())
    return (harmonic + (right - 1) / (rows - 1) * (rows - harmonic)) / rows


def _parts(label: str, separator: str) -> tuple[str, ...]:
    return tuple(part for each in label.split(separator) if (part := each.strip()))


def _precision(ranking: Sequence[str], own: str, cut: Mapping[str, tuple[str, ...]]) -> float:
    relevant = {key: 1.0 for key, path in cut.items() if path == cut[own] and key != own}
    return average_precision([key for key in ranking if key in cut and key != own], relevant)
