"""Batches of labelled texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_WINDOW = 16  # batches sorted by length together: less padding, while what stands beside each other stays varied


def shuffled(lengths: Sequence[int], *, size: int, generator: np.random.Generator) -> list[list[int]]:
    """Shuffle, sort by length inside windows, cut into batches, shuffle those. Every position occurs once."""
    order = generator.permutation(len(lengths))
    by_length = np.asarray(lengths)
    made: list[list[int]] = []
    for start in range(0, len(order), size * _WINDOW):
        part = order[start : start + size * _WINDOW]
        part = part[np.argsort(by_length[part], kind="stable")]
        made.extend(part[place : place + size].tolist() for place in range(0, len(part), size))
    return [made[place] for place in generator.permutation(len(made))]


def alike_together(
    labels: Sequence[str], *, size: int, together: int, generator: np.random.Generator
) -> list[list[int]]:
    """Return batches in which texts of one label stand ``together``; a batch without two labels is left out.

    A label's last group may be smaller; of a single text it serves as the other side's wrong answer.
    """
    members: dict[str, list[int]] = {}
    for place in generator.permutation(len(labels)):
        members.setdefault(labels[place], []).append(int(place))
    groups = [
        found[start : start + together]
        for _, found in sorted(members.items())
        for start in range(0, len(found), together)
    ]
    made: list[list[int]] = [[]]
    for number in generator.permutation(len(groups)):
        if len(made[-1]) + len(groups[number]) > size:
            made.append([])
        made[-1].extend(groups[number])
    return [batch for batch in made if _teaches([labels[place] for place in batch])]


def _teaches(labels: Sequence[str]) -> bool:
    """Tell whether there is a label twice, and another one."""
    return 1 < len(set(labels)) < len(labels)
