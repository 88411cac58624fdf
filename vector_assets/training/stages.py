"""What the loop runs, one after the other: a stage has batches, an optimiser, and one update per batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vector_assets.training.network import Network
from vector_assets.training.objectives.base import TextObjective
from vector_assets.training.objectives.batching import shuffled
from vector_assets.training.optimizing import Optimizer

if TYPE_CHECKING:
    import torch


class Stage(Protocol):
    """One way of learning, for some epochs."""

    @property
    def name(self) -> str:
        """How its losses are called in the log: train, or pretrain."""
        ...

    @property
    def epochs(self) -> int:
        """How often all is read, at most."""
        ...

    @property
    def looks(self) -> int:
        """Looks at validation per epoch; with none it has no patience either."""
        ...

    @property
    def learning_rate(self) -> float:
        """The highest of the optimiser."""
        ...

    def start(self, *, anew: bool) -> None:
        """Prepare. ``anew`` is false where a saved state is put back next."""
        ...

    def batches(self, generator: np.random.Generator) -> list[list[int]]:
        """Return the batches of one epoch."""
        ...

    def optimizer(self) -> Optimizer:
        """Return an optimiser of all that learns."""
        ...

    def update(self, batch: Sequence[int], optimizer: Optimizer, rate: float) -> float:
        """Take one step and return the loss before it."""
        ...

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies of what learns beside network and head."""
        ...

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state back."""
        ...


class TextStage:
    """A stage that learns from texts alone."""

    def __init__(
        self,
        network: Network,
        objective: TextObjective,
        ids: Sequence[Sequence[int]],
        *,
        name: str,
        epochs: int,
        batch_size: int,
        learning_rate: float,
        looks: int,
        steps: int | None = None,
    ) -> None:
        """``ids`` are the tokens of the texts; ``steps`` makes an epoch longer or shorter than one reading."""
        self._steps = steps
        self.name, self.epochs, self.looks, self.learning_rate = name, epochs, looks, learning_rate
        self._network, self._objective, self._ids, self._size = network, objective, ids, batch_size

    @property
    def settings(self) -> Mapping[str, str | int | float | bool]:
        """What to log about the objective, and how much it reads."""
        return {**self._objective.settings(), "texts": len(self._ids)}

    def start(self, *, anew: bool) -> None:
        """Start the objective on the network as it is."""
        self._objective.start(self._network)

    def batches(self, generator: np.random.Generator) -> list[list[int]]:
        """Any texts together, of like length; one alone has nothing to be told from."""
        lengths = [len(one) for one in self._ids]
        made = repeated(partial(shuffled, lengths, size=self._size, generator=generator), self._steps)
        return [batch for batch in made if len(batch) > 1]

    def optimizer(self) -> Optimizer:
        """Return the optimiser of the network and of what the objective has beside it."""
        learning = [*self._network.parameters(), *self._objective.parameters()]
        return Optimizer(learning, None, rate=self.learning_rate, quick=self._network.scalars())

    def update(self, batch: Sequence[int], optimizer: Optimizer, rate: float) -> float:
        """Take one step and return the loss before it."""
        return take_step(self._objective.loss(batch, [self._ids[place] for place in batch]), optimizer, rate)

    def state(self) -> dict[str, torch.Tensor]:
        """Return what the objective has."""
        return self._objective.state()

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put it back."""
        self._objective.restore(state)


def repeated(draw: Callable[[], list[list[int]]], steps: int | None) -> list[list[int]]:
    """Return the batches of one reading, or of as many as make so many steps, the last cut short."""
    made = draw()
    while steps and made and len(made) < steps:
        made += draw()
    return made[:steps]


def take_step(loss: torch.Tensor, optimizer: Optimizer, rate: float) -> float:
    """Take one step of the optimiser and return the loss."""
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step(rate)
    return float(loss.detach())
