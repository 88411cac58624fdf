"""Classification: softmax over the labels. The head starts as a logistic regression on the untrained vectors.

So step 0 is the linear probe, the control that fine-tuning has to beat, and the encoder does not first learn to follow
a random head (linear probing, then fine-tuning: Kumar et al. 2022).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Vectors
from vector_assets.spec import ClassHead
from vector_assets.training.heads import Head, make_head, random_weights
from vector_assets.training.objectives.base import Classes
from vector_assets.training.objectives.shared import HeadObjective

if TYPE_CHECKING:
    import torch

#: Inverse strengths of the regression's penalty; validation chooses, and the middle one where it has no such labels.
STRENGTHS = (10.0, 1.0, 100.0)


class Classification(HeadObjective):
    """Cross entropy over a linear head with bias."""

    def __init__(self, settings: ClassHead | None = None, *, seed: int = 0) -> None:
        super().__init__(settings, seed=seed)
        self.strength = STRENGTHS[0]

    def start(self, vectors: Vectors, classes: Classes, check: tuple[Vectors, Classes]) -> None:
        """Fit the probe, and let ``check`` choose how much it is penalised; or draw at random."""
        if self._settings.start == "random":
            count = int(classes.max()) + 1
            weight = random_weights(slice(0, count), vectors.shape[1], seed=self._seed)
            self._begin(weight, np.zeros(count, np.float32))
            return
        strengths = STRENGTHS if len(check[1]) else STRENGTHS[:1]
        found = [(fit_probe(vectors, classes, strength), strength) for strength in strengths]
        correct = [float(np.mean(head.predict(check[0]) == check[1])) if len(check[1]) else 0.0 for head, _ in found]
        probe, self.strength = found[int(np.argmax(correct))]
        named = probe.state()
        self._begin(named["weight"].numpy(), named["bias"].numpy())

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "classification", "probe_strength": self.strength, **self.head_settings()}

    def _begin(self, weight: Vectors, bias: Vectors) -> None:
        self.head = make_head(weight, bias, self._settings, scores=linear_scores, seed=self._seed)


def linear_scores(
    vectors: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the scores (vectors, classes); the own places need nothing."""
    import torch

    return torch.nn.functional.linear(vectors, weight, bias)


def fit_probe(vectors: Vectors, classes: Classes, strength: float) -> Head:
    """Fit a logistic regression; every class 0, 1, … occurs."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=strength, max_iter=1000).fit(vectors, classes)
    weight, bias = fitted.coef_, fitted.intercept_
    if len(weight) == 1:  # of two classes it states the second alone
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Head(weight, bias, scores=linear_scores)
