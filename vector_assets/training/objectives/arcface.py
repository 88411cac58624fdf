"""ArcFace (Deng et al. 2019): the angle to the own class's centre is made wider by a margin before the softmax.

Forward: s cos(theta + m) for the own class, s cos(theta) for the others. Where theta + m is beyond pi the cosine would
rise again; from there on the value is cos(theta) - m sin(m), as in the authors' code, which keeps falling.

Gradient: the change of the angle is outside of it (straight through, as insightface does), so that of the loss by the
own cosine is s (p - 1). The formula's own has a factor sin(theta + m) / sin(theta), without bound at theta = 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Pair, Vectors
from vector_assets.training.objectives.base import Classes, Seen
from vector_assets.training.objectives.batching import shuffled
from vector_assets.training.objectives.head import Head, class_means

if TYPE_CHECKING:
    import torch

MARGIN = 0.5  # radians
SCALE = 64.0


class ArcFace:
    """Cross entropy over cosines to one centre per class; centres start as the means of the untrained vectors."""

    def __init__(self) -> None:
        self.head: Head | None = None

    def start(self, vectors: Vectors, classes: Classes, check: tuple[Vectors, Classes]) -> None:
        """Place the centres."""
        self.head = Head(class_means(vectors, classes))

    def batches(
        self, examples: Sequence[Pair], lengths: Sequence[int], *, size: int, generator: np.random.Generator
    ) -> list[list[int]]:
        """Any texts together, of like length."""
        return shuffled(lengths, size=size, generator=generator)

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the cross entropy with the margin."""
        import torch

        assert seen.classes is not None and self.head is not None, "start comes first"
        centres = torch.nn.functional.normalize(self.head.weight, dim=1)
        scores = margin_scores(seen.documents @ centres.T, seen.classes)
        return torch.nn.functional.cross_entropy(scores, seen.classes)

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "arcface", "margin": MARGIN, "scale": SCALE, "gradient": "straight-through"}


def margin_scores(
    cosines: torch.Tensor, classes: torch.Tensor, *, margin: float = MARGIN, scale: float = SCALE
) -> torch.Tensor:
    """Return the scores (batch, classes) of cosines of the same shape."""
    import torch

    cosines = cosines.clamp(-1, 1)
    rows = torch.arange(len(classes))
    own = cosines[rows, classes].detach()
    wider = torch.cos(torch.acos(own) + margin)
    wider = torch.where(own > math.cos(math.pi - margin), wider, own - margin * math.sin(margin))
    change = torch.zeros_like(cosines)
    change[rows, classes] = wider - own
    return scale * (cosines + change)
