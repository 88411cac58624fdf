"""How a head begins: as its objective fitted it, or at random; whole, or in shards."""

from __future__ import annotations

import numpy as np

from vector_assets.errors import SpecError
from vector_assets.records import Vectors
from vector_assets.spec import ClassHead
from vector_assets.training.heads.plain import Head
from vector_assets.training.heads.shard import Scores
from vector_assets.training.heads.split import SplitHead

#: Standard deviation of random weights, as in insightface.
DEVIATION = 0.01

_BLOCK = 1024


def make_head(weight: Vectors, bias: Vectors | None, settings: ClassHead, *, scores: Scores, seed: int) -> Head:
    """Return a head of these weights (classes, dims) as it was declared; one that is whole in one process is plain."""
    if settings.processes > len(weight):
        raise SpecError(
            f"train.head.processes: found {settings.processes}, but there are {len(weight)} labels to learn from; "
            "expected at most one process per label"
        )
    if settings.processes == 1 and settings.sample == 1:
        return Head(weight, bias, scores=scores)
    return SplitHead(
        weight, bias, scores=scores, processes=settings.processes, sample=settings.sample, seed=seed
    )  # fmt: skip


def random_weights(classes: slice, dims: int, *, seed: int) -> Vectors:
    """Draw weights (classes, dims) of N(0, 0.01). A class has the same ones whichever slice is drawn."""
    drawn = np.empty((classes.stop - classes.start, dims), np.float32)
    for block in range(classes.start // _BLOCK, -(-classes.stop // _BLOCK)):
        generator = np.random.default_rng([seed, 3, block])
        values = generator.standard_normal((_BLOCK, dims), np.float32) * np.float32(DEVIATION)
        start, stop = max(classes.start, block * _BLOCK), min(classes.stop, (block + 1) * _BLOCK)
        drawn[start - classes.start : stop - classes.start] = values[start - block * _BLOCK : stop - block * _BLOCK]
    return drawn
