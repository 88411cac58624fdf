"""Matryoshka (Kusupati et al. 2022): the first dims of a vector learn to serve alone, at several widths at once.

The sum, with weights 1, of another objective's loss over the whole vector and over each prefix scaled to length 1
again: what sentence-transformers' MatryoshkaLoss computes, without a second pass through a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Pair, Vectors
from vector_assets.training.objectives.base import Classes, Objective, Seen

if TYPE_CHECKING:
    import torch


class Matryoshka:
    """Another objective, at several widths. It has no head: a head would be of one width."""

    head = None

    def __init__(self, inner: Objective, widths: Sequence[int]) -> None:
        """Learn the whole vector, and each of these shorter widths."""
        self._inner, self._widths = inner, tuple(widths)

    def start(self, vectors: Vectors, classes: Classes, check: tuple[Vectors, Classes]) -> None:
        """Begin as the other does."""
        self._inner.start(vectors, classes, check)

    def batches(
        self, examples: Sequence[Pair], lengths: Sequence[int], *, size: int, generator: np.random.Generator
    ) -> list[list[int]]:
        """Return the other's batches."""
        return self._inner.batches(examples, lengths, size=size, generator=generator)

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the sum over the widths."""
        total = self._inner.loss(seen)
        for width in self._widths:
            total = total + self._inner.loss(seen.cut(width))
        return total

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {**self._inner.settings(), "matryoshka": ", ".join(map(str, self._widths))}
