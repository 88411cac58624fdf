"""What an objective is: how examples are put into batches, and what is minimised over a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vector_assets.records import Pair, Vectors
from vector_assets.training.heads.shard import Classes as Classes

if TYPE_CHECKING:
    import torch

    from vector_assets.training.heads import Head
    from vector_assets.training.network import Network


@dataclass(frozen=True, slots=True)
class Seen:
    """The unit vectors of one batch, (batch, dims) each; row i of all belongs to example i.

    Pairs have ``queries``; labelled texts have ``classes`` (batch,), their labels as numbers. ``negatives`` (any, dims)
    are wrong for every query of the batch. ``weights`` (batch,) say what each pair counts; None where all count alike.
    """

    documents: torch.Tensor
    queries: torch.Tensor | None = None
    classes: torch.Tensor | None = None
    negatives: torch.Tensor | None = None
    weights: torch.Tensor | None = None

    def cut(self, dims: int) -> Seen:
        """Return the same with the first dims of every vector, of unit length again."""
        documents = unit_prefix(self.documents, dims)
        queries = None if self.queries is None else unit_prefix(self.queries, dims)
        negatives = None if self.negatives is None else unit_prefix(self.negatives, dims)
        return replace(self, documents=documents, queries=queries, negatives=negatives)


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


class TextObjective(Protocol):
    """One way to learn from texts alone, before there are pairs or without any."""

    def start(self, network: Network) -> None:
        """Begin with this network. Raises EncoderError where its architecture does not allow it."""
        ...

    def loss(self, places: Sequence[int], ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the loss of one batch; ``places`` are those of the texts among all, ``ids`` their tokens."""
        ...

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return what learns beside the encoder, and is dropped afterwards."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies of it, by name."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state back."""
        ...

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        ...


def unit_prefix(vectors: torch.Tensor, dims: int) -> torch.Tensor:
    """Return the first dims, of unit length; gradients pass through."""
    import torch

    return torch.nn.functional.normalize(vectors[:, :dims], dim=1)
