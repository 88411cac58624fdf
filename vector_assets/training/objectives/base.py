"""What an objective is: how examples are put into batches, and what is minimised over a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vector_assets.records import Pair, Vectors
from vector_assets.training.heads.shard import Classes as Classes

if TYPE_CHECKING:
    import torch

    from vector_assets.training.heads import Head


@dataclass(frozen=True, slots=True)
class Seen:
    """The unit vectors of one batch, (batch, dims) each; row i of all belongs to example i.

    Pairs have ``queries``; labelled texts have ``classes`` (batch,), their labels as numbers.
    """

    documents: torch.Tensor
    queries: torch.Tensor | None = None
    classes: torch.Tensor | None = None


class Objective(Protocol):
    """One way to learn. Each is one file of this folder, named in ``objectives/__init__.py``."""

    @property
    def head(self) -> Head | None:
        """What learns beside the encoder; None where nothing does, or before ``start``."""
        ...

    def start(self, vectors: Vectors, classes: Classes, check: tuple[Vectors, Classes]) -> None:
        """Begin with the untrained vectors of the labelled texts to learn from, and of those to check by.

        Called once before the first step, for objectives over labels only.
        """
        ...

    def batches(
        self, examples: Sequence[Pair], lengths: Sequence[int], *, size: int, generator: np.random.Generator
    ) -> list[list[int]]:
        """Return the batches of one epoch as positions in ``examples``; ``lengths`` are the documents' tokens."""
        ...

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the loss of one batch."""
        ...

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        ...
