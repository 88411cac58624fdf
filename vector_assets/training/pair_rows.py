"""What pairs are made of, divided into splits and cut to as many as are asked for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from vector_assets.records import SplitName
from vector_assets.spec import Training
from vector_assets.training.enough import SPLITS
from vector_assets.training.splits import places_of
from vector_assets.training.texts import hash_of


@dataclass(frozen=True, slots=True)
class PairRow:
    """What a pair is made of. ``key`` is the JSON row key of the answer, "" when it is no row; ``group`` may be "".

    A labelled text has a label in place of a query. ``weight`` is above 0, on any scale. Rows that are split by time
    have one. Of an image ``document`` is its name and ``looks`` its perceptual hash.
    """

    key: str
    query: str
    document: str
    group: str = ""
    label: str = ""
    negatives: tuple[str, ...] = ()
    weight: float = 1.0
    time: datetime | None = None
    looks: int | None = None


def split_rows(rows: Sequence[PairRow], training: Training, report: Counter[str]) -> dict[SplitName, list[PairRow]]:
    """Return the rows of each split; what is older than the split of its group is counted and left out.

    Raises SpecError for a named group that no row has.
    """
    places = places_of([row.group for row in rows], [row.time for row in rows], training.split, training.seed)
    splits: dict[SplitName, list[PairRow]] = {name: [] for name in SPLITS}
    for row, name in zip(rows, places, strict=True):
        if name is None:
            report["older_than_their_split"] += 1
        else:
            splits[name].append(row)
    return splits


def capped(rows: list[PairRow], most: int | None, name: SplitName, seed: int, report: Counter[str]) -> list[PairRow]:
    """Return at most so many rows, drawn by seed and text; what is left out is counted."""
    if most is None or len(rows) <= most:
        return rows
    report[f"over_cap_{name}"] += len(rows) - most
    drawn = sorted(range(len(rows)), key=lambda place: hash_of(seed, rows[place].query + "\0" + rows[place].document))
    return [rows[place] for place in sorted(drawn[:most])]
