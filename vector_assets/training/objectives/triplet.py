"""Triplet (FaceNet, Schroff et al. 2015): semi-hard negatives of the batch, sentence-transformers' own loss.

For every anchor and positive the nearest negative that is farther than the positive, or the farthest one where none
is; squared Euclidean distance between unit vectors (0 to 4), on which FaceNet's margin of 0.2 stands. The library's own
default, 5 on plain distances, no pair of unit vectors can meet.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Pair, Vectors
from vector_assets.spec import MARGINS
from vector_assets.training.objectives.base import Classes, Seen
from vector_assets.training.objectives.batching import alike_together

if TYPE_CHECKING:
    import torch

_TOGETHER = 4


class Triplet:
    """Texts of one label come nearer to each other than to those of any other, by a margin."""

    head = None

    def __init__(self, margin: float = MARGINS["triplet"]) -> None:
        self._margin = margin

    def start(self, vectors: Vectors, classes: Classes, check: tuple[Vectors, Classes]) -> None:
        """Need nothing to begin with."""

    def batches(
        self, examples: Sequence[Pair], lengths: Sequence[int], *, size: int, generator: np.random.Generator
    ) -> list[list[int]]:
        """Four texts of a label together, or half a small batch."""
        together = min(_TOGETHER, size // 2)
        return alike_together([one.label for one in examples], size=size, together=together, generator=generator)

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the mean over all anchors and positives of the batch."""
        import torch
        from sentence_transformers.sentence_transformer.losses import BatchSemiHardTripletLoss

        assert seen.classes is not None
        # The vectors are at hand, so the loss needs no model to make them with.
        function = BatchSemiHardTripletLoss(
            model=torch.nn.Identity(), distance_metric=squared_distances, margin=self._margin  # type: ignore[arg-type]
        )  # fmt: skip
        return function.compute_loss_from_embeddings([seen.documents], seen.classes)

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "triplet", "margin": self._margin, "negatives": "semi-hard", "distance": "squared L2"}


def squared_distances(vectors: torch.Tensor) -> torch.Tensor:
    """Return |a - b|^2 of all unit vectors with each other, (n, n)."""
    return (2 - 2 * vectors @ vectors.T).clamp(min=0)
