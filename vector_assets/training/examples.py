"""Examples as what a step reads: answers by query, labels as numbers, token ids cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vector_assets.records import Pair
from vector_assets.training.objectives import Classes


def answers_of(train: Sequence[Pair]) -> dict[str, set[str]]:
    """Return the documents that answer each query."""
    found: dict[str, set[str]] = {}
    for pair in train:
        found.setdefault(pair.query, set()).add(pair.document)
    return found


def classes_of(examples: Sequence[Pair], labels: Sequence[str]) -> Classes:
    """Return the place of each example's label among the labels; none without labels."""
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[one.label] for one in examples] if labels else [], np.int64)


def cut_ids(ids: list[list[int]], most: int | None) -> list[list[int]]:
    """Cut token ids, keeping the closing special token."""
    return [one if most is None or len(one) <= most else [*one[: most - 1], one[-1]] for one in ids]
