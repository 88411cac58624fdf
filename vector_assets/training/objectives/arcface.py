"""ArcFace (Deng et al. 2019): the angle to the own class's centre is made wider by a margin before the softmax.

Forward: s cos(theta + m) for the own class, s cos(theta) for the others. Where theta + m is beyond pi the cosine would
rise again; from there on the value is cos(theta) - m sin(m), as in the authors' first code and in insightface's margin
form of it (easy_margin = False), which keeps falling; insightface's present arccos form lets it rise.

Gradient: the change of the angle is outside of it (straight through, as insightface does), so that of the loss by the
own cosine is s (p - 1): that of s (cos(theta) + c) with c held fast. The formula's own has a factor
sin(theta + m) / sin(theta), without bound at theta = 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Vectors
from vector_assets.spec import MARGINS, SCALES, ClassHead
from vector_assets.training.heads import Head, class_means, make_head, random_weights
from vector_assets.training.objectives.base import Classes
from vector_assets.training.objectives.classification import STRENGTHS, fit_probe
from vector_assets.training.objectives.shared import HeadObjective

if TYPE_CHECKING:
    import torch

MARGIN, SCALE = MARGINS["arcface"], SCALES["arcface"]


class ArcFace(HeadObjective):
    """Cross entropy over cosines to one centre per class.

    Centres start where a logistic regression on the untrained vectors has its weights: the means of classes lie close
    to one another (those of sentences share a direction), and the encoder would first have to push them apart.
    """

    def __init__(
        self, settings: ClassHead | None = None, *, seed: int = 0, margin: float = MARGIN, scale: float = SCALE
    ) -> None:
        super().__init__(settings, seed=seed)
        self._margin, self._scale = margin, scale

    def start(self, vectors: Vectors, classes: Classes, check: tuple[Vectors, Classes]) -> None:
        """Place the centres."""
        if self._settings.start == "random":
            weight = random_weights(slice(0, int(classes.max()) + 1), vectors.shape[1], seed=self._seed)
        elif self._settings.start == "means":
            weight = class_means(vectors, classes)
        else:
            weight = directions(fit_probe(vectors, classes, STRENGTHS[0]))
        scores = partial(arcface_scores, margin=self._margin, scale=self._scale)
        self.head = make_head(weight, None, self._settings, scores=scores, seed=self._seed)

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        head = self.head_settings()
        loss = {"margin": self._margin, "scale": self._scale}
        return {"objective": "arcface", **loss, "gradient": "straight-through", **head}


def directions(probe: Head) -> Vectors:
    """Return the weights of a probe as unit vectors; its bias has no place among angles."""
    weight: Vectors = probe.state()["weight"].numpy().astype(np.float32)
    weight /= np.linalg.norm(weight, axis=1, keepdims=True)
    return weight


def arcface_scores(
    vectors: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None,
    *, margin: float = MARGIN, scale: float = SCALE,
) -> torch.Tensor:  # fmt: skip
    """Return the scores (vectors, classes) of unit vectors with the margin at ``places``, -1 for nowhere."""
    import torch

    cosines = vectors @ torch.nn.functional.normalize(weight, dim=1).T
    return margin_scores(cosines, places, margin=margin, scale=scale)


def margin_scores(
    cosines: torch.Tensor, classes: torch.Tensor, *, margin: float = MARGIN, scale: float = SCALE
) -> torch.Tensor:
    """Return the scores (batch, classes) of cosines of the same shape; a class of -1 has no column here."""
    import torch

    cosines = cosines.clamp(-1, 1)
    rows = torch.nonzero(classes >= 0).squeeze(1)
    columns = classes[rows]
    own = cosines[rows, columns].detach()
    wider = torch.cos(torch.acos(own) + margin)
    wider = torch.where(own > math.cos(math.pi - margin), wider, own - margin * math.sin(margin))
    # In place on the product: at many classes another such matrix costs more than the margin itself.
    return (cosines * scale).index_put_((rows, columns), (wider - own) * scale, accumulate=True)
