"""Nested parts of a training set: each smaller one lies inside each larger one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vector_assets.records import Pair, TrainingSet
from vector_assets.spec import LABELLED, Curve, Training
from vector_assets.training.pairs import pairs_digest


def sizes_of(curve: Curve, train: int) -> list[int]:
    """Return the declared rows as far as there are so many; all of them where more were asked for."""
    return sorted({min(rows, train) for rows in curve.rows})


def nested_order(train: Sequence[Pair], *, seed: int, draw: int, together: int = 1) -> list[int]:
    """Return the places of ``train`` in an order whose every beginning is a part as a curve wants it.

    Of labels each comes once before any comes again, and from then on in proportion to how often it occurs. With
    ``together`` 2 a label comes with two texts at a time, so that there is something alike in the smallest part.
    """
    generator = np.random.default_rng([seed, 5, draw])
    order = [int(place) for place in generator.permutation(len(train))]
    members: dict[str, list[int]] = {}
    for place in order:
        members.setdefault(train[place].label, []).append(place)
    if len(members) < 2:
        return order
    ranked: list[tuple[float, float, int, int]] = []
    for places in members.values():
        groups = [places[start : start + together] for start in range(0, len(places), together)]
        single = len(groups[0]) < together  # a label that occurs once comes after those with something alike
        for number, group in enumerate(groups):
            tie = float(generator.random()) + single
            at = number / len(groups)
            ranked += [(at, tie, inside, place) for inside, place in enumerate(group)]
    return [place for *_, place in sorted(ranked)]


def together_of(training: Training) -> int:
    """Return how many texts of a label an objective needs at once: two where it learns from what is alike."""
    return 2 if training.objective in LABELLED and training.objective != "classification" else 1


def part_of(training_set: TrainingSet, order: Sequence[int], rows: int) -> TrainingSet:
    """Return the set with the first ``rows`` of an order as its train, in stored order; all that is held out stays."""
    kept = set(order[:rows])
    train = training_set.split("train")
    others = tuple(pair for pair in training_set.pairs if pair.split != "train")
    chosen = [pair for place, pair in enumerate(train) if place in kept]
    mean = sum(pair.weight for pair in chosen) / len(chosen)
    pairs = (*(replace(pair, weight=pair.weight / mean) for pair in chosen), *others)
    report = {**training_set.report, "train": len(chosen)}
    return TrainingSet(pairs_digest(pairs), pairs, report)
