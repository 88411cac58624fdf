"""What an objective is: how pairs are put into batches, and what is minimised over a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vector_assets.records import Pair

if TYPE_CHECKING:
    import torch


class Objective(Protocol):
    """One way to learn from pairs. Each is one file of this folder, named in ``objectives/__init__.py``."""

    def batches(
        self, pairs: Sequence[Pair], lengths: Sequence[int], *, size: int, generator: np.random.Generator
    ) -> list[list[int]]:
        """Return the batches of one epoch as positions in ``pairs``; ``lengths`` are the documents' tokens."""
        ...

    def loss(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        """Return the loss of one batch from its unit vectors, (batch, dims) each, row i of both belonging together."""
        ...

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        ...
