"""What objectives have in common: those that learn labels by a head, those that learn from texts by nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Pair
from vector_assets.spec import ClassHead
from vector_assets.training.heads import Head
from vector_assets.training.objectives.base import Seen
from vector_assets.training.objectives.batching import shuffled

if TYPE_CHECKING:
    import torch

    from vector_assets.training.network import Network


class HeadObjective:
    """Learns labels by a head, which ``start`` makes."""

    def __init__(self, settings: ClassHead | None = None, *, seed: int = 0) -> None:
        self.head: Head | None = None
        self._settings, self._seed = settings or ClassHead(), seed

    def batches(
        self, examples: Sequence[Pair], lengths: Sequence[int], *, size: int, generator: np.random.Generator
    ) -> list[list[int]]:
        """Any texts together, of like length."""
        return shuffled(lengths, size=size, generator=generator)

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the cross entropy of each text's own label, by the scores of the head."""
        assert seen.classes is not None and self.head is not None, "start comes first"
        return self.head.loss(seen.documents, seen.classes)

    def head_settings(self) -> dict[str, str | int | float | bool]:
        """Return what to log about the head."""
        return {f"head_{name}": value for name, value in self._settings.model_dump().items()}


class EncoderAlone:
    """Learns from texts with nothing beside the encoder."""

    def __init__(self) -> None:
        self._network: Network | None = None

    def start(self, network: Network) -> None:
        """Keep the network."""
        self._network = network

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return nothing: all that learns is the encoder."""
        return []

    def state(self) -> dict[str, torch.Tensor]:
        """Return nothing."""
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Do nothing."""
