"""A head that brings its own optimiser: sampled, split over processes, or both.

The encoder stays where it is. A step hands the batch's vectors to the shards, each a part; they gather them, score
their own classes, and give back the loss and its gradient by the vectors. Weight gradients and moments never leave the
shard. The weights do: as the best so far, into the file that a killed run goes on from, and at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.records import Vectors
from vector_assets.training.heads.collective import slices
from vector_assets.training.heads.plain import Head
from vector_assets.training.heads.processes import Shards, started
from vector_assets.training.heads.shard import Classes, Part, Scores

if TYPE_CHECKING:
    import torch


class SplitHead(Head):
    """A head in shards; ``sample`` of the classes take part in a step."""

    def __init__(
        self,
        weight: Vectors,
        bias: Vectors | None = None,
        *,
        scores: Scores,
        processes: int = 1,
        sample: float = 1.0,
        seed: int = 0,
    ) -> None:
        import torch

        super().__init__(weight, bias, scores=scores)
        count = len(self.weight)
        self._parts = [Part(count, rank, processes, sample, seed) for rank in range(processes)]
        self._shards: Shards | None = None
        self._anchor = torch.zeros((), requires_grad=True)
        self._scale: float | None = None

    @contextmanager
    def learning(self) -> Iterator[None]:
        """Keep the weights in the shards, and their processes running."""
        import torch

        with started(self._parts, self.scores) as shards:
            shards.ask("place", [(named,) for named in self._cut(super().state())])
            self._shards, self.weight = shards, torch.nn.Parameter(torch.empty(0, self.weight.shape[1]))
            try:
                yield
                named = self.state()
            finally:
                self._shards = None
        self.weight = torch.nn.Parameter(named["weight"])
        super().restore(named)

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return nothing: ``step`` updates it."""
        return []

    def loss(self, vectors: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """Return the mean cross entropy of the vectors' own classes, among those that take part."""
        function: Any = _loss_function()
        found: torch.Tensor = function.apply(vectors, self._anchor, classes, self)
        return found

    def step(self, rate: float, most: float) -> None:
        """Update by the gradients of the last loss that went backward, their norm cut at ``most``."""
        assert self._scale is not None, "backward comes first"
        self._asked.ask("step", [(rate, most, self._scale)] * len(self._parts))
        self._scale = None

    def gradients(self) -> dict[str, torch.Tensor]:
        """Return the gradients of the last loss: ``classes`` that took part, and weight and bias of these."""
        return _joined(self._asked.ask("gradients"))

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies, by name."""
        return super().state() if self._shards is None else _joined(self._shards.ask("state"))

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state back."""
        if self._shards is None:
            super().restore(state)
        else:
            self._shards.ask("place", [(named,) for named in self._cut(state)])

    def moments(self) -> dict[str, torch.Tensor]:
        """Return copies of the optimiser's state, by name."""
        return _joined(self._asked.ask("moments"))

    def restore_moments(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state of the optimiser back."""
        self._asked.ask("place_moments", [(named,) for named in self._cut(state)])

    def predict(self, vectors: Vectors) -> Classes:
        """Return the best class of each unit vector."""
        if self._shards is None:
            return super().predict(vectors)
        found = self._shards.ask("predict", [(vectors,)] * len(self._parts))
        best = np.argmax([scores for scores, _ in found], axis=0)  # the first of equals: the lowest class
        classes: Classes = np.array([classes for _, classes in found])[best, np.arange(len(vectors))]
        return classes

    def peaks(self) -> list[int]:
        """Return the most bytes that each shard's process had in memory."""
        found: list[int] = self._asked.ask("peak")
        return found

    @property
    def _asked(self) -> Shards:
        assert self._shards is not None, "inside of learning only"
        return self._shards

    def _cut(self, state: Mapping[str, torch.Tensor]) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
        for part in self._parts:
            yield {name: (one[part.held] if one.dim() else one).numpy() for name, one in state.items()}


def _joined(parts: list[dict[str, np.ndarray[Any, Any]]]) -> dict[str, torch.Tensor]:
    """Join what the shards have by class; what they have once is the same in all."""
    import torch

    return {
        name: torch.from_numpy(np.concatenate([part[name] for part in parts]) if one.ndim else one.copy())
        for name, one in parts[0].items()
    }


@cache
def _loss_function() -> type[torch.autograd.Function]:
    """Return the function that asks the shards; made when asked for, since this file loads without torch."""
    import torch

    class SplitLoss(torch.autograd.Function):
        """Forward and backward of the shards at once; the anchor asks for a gradient where no vector does."""

        @staticmethod
        def forward(
            ctx: Any,  # noqa: ANN401
            vectors: torch.Tensor,
            anchor: torch.Tensor,
            classes: torch.Tensor,
            head: SplitHead,
        ) -> torch.Tensor:
            given, numbers = vectors.detach().numpy(), classes.numpy()
            parts = slices(len(given), len(head._parts))
            found = head._asked.ask("loss", [(given[part], numbers[part], len(given)) for part in parts])
            ctx.head = head
            ctx.gradient = torch.from_numpy(np.concatenate([gradient for _, gradient in found]))
            return torch.tensor(found[0][0])

        @staticmethod
        def backward(ctx: Any, *upstream: torch.Tensor) -> Any:  # noqa: ANN401
            ctx.head._scale = float(upstream[0])
            return ctx.gradient * upstream[0], torch.zeros(()), None, None

    return SplitLoss
