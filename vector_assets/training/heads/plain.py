"""One weight vector per class, learned with the encoder and kept beside it: never a part of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Vectors
from vector_assets.training.heads.shard import Classes, Scores

if TYPE_CHECKING:
    import torch


class Head:
    """Scores a vector for each class, by ``scores`` of it and the class's weights."""

    def __init__(self, weight: Vectors, bias: Vectors | None = None, *, scores: Scores) -> None:
        """Start from ``weight`` (classes, dims) and ``bias`` (classes,)."""
        import torch

        self.scores = scores
        self.weight = torch.nn.Parameter(torch.from_numpy(np.array(weight, np.float32, order="C")))
        self.bias = None if bias is None else torch.nn.Parameter(torch.from_numpy(np.array(bias, np.float32)))

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Hold what is needed while it learns."""
        yield

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return what the optimiser of the encoder updates as well."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]

    def loss(self, vectors: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return the mean cross entropy of the vectors' own classes."""
        import torch

        return torch.nn.functional.cross_entropy(self.scores(vectors, classes, self.weight, self.bias), classes)

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies, by name."""
        named = {"weight": self.weight} if self.bias is None else {"weight": self.weight, "bias": self.bias}
        return {name: parameter.detach().clone() for name, parameter in named.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state back."""
        import torch

        with torch.no_grad():
            self.weight.copy_(state["weight"])
            if self.bias is not None:
                self.bias.copy_(state["bias"])

    def predict(self, vectors: Vectors) -> Classes:
        """Return the best class of each unit vector."""
        weight: Vectors = self.weight.detach().numpy()
        scores = vectors @ (weight / _lengths(weight) if self.bias is None else weight).T
        if self.bias is not None:
            scores = scores + self.bias.detach().numpy()
        best: Classes = np.argmax(scores, axis=1).astype(np.int64)
        return best


def class_means(vectors: Vectors, classes: Classes) -> Vectors:
    """Return the mean direction of each class, (classes, dims) of unit length."""
    sums = np.zeros((int(classes.max()) + 1, vectors.shape[1]), np.float32)
    np.add.at(sums, classes, vectors)
    means: Vectors = sums / _lengths(sums)
    return means


def _lengths(vectors: Vectors) -> Vectors:
    lengths: Vectors = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12).astype(np.float32)
    return lengths
