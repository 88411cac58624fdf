"""A contiguous slice of a head's classes, with its gradients and moments: the whole of it, or one process's share.

Sampling is Partial FC (An et al. 2021, 2022): of a slice's classes those that occur in the batch take part in a step,
and others drawn at random up to the rate. Each is scored, and updated, as if there were no others. What a step draws
follows from seed, slice and the number of updates before it, so nothing of it has to be stored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Vectors
from vector_assets.training.heads.collective import Collective, slices
from vector_assets.training.heads.rows import RowAdamW
from vector_assets.training.heads.softmax import cross_entropy

if TYPE_CHECKING:
    import torch

_AT_ONCE = 128  # vectors whose scores for all classes are in memory together

#: Numbers of classes, one per vector.
Classes = NDArray[np.int64]
Named = Mapping[str, NDArray[np.generic]]


class Scores(Protocol):
    """How an objective scores classes."""

    def __call__(
        self, vectors: torch.Tensor, places: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
    ) -> torch.Tensor:
        """Return scores (vectors, classes) of unit vectors; ``places`` is each one's own column, -1 for none here."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """Which slice of how many, and how much of it takes part in a step."""

    classes: int
    rank: int = 0
    size: int = 1
    sample: float = 1.0
    seed: int = 0

    @property
    def held(self) -> slice:
        """The classes of the slice."""
        return slices(self.classes, self.size)[self.rank]


class Shard:
    """Takes and gives arrays, so that it can be asked from another process. Nothing is copied on the way in or out."""

    def __init__(self, part: Part, scores: Scores, group: Collective) -> None:
        self._part, self._scores, self._group = part, scores, group
        self._first, self._count = part.held.start, part.held.stop - part.held.start
        self._named: dict[str, torch.Tensor] = {}
        self._rows: torch.Tensor | None = None
        self._gradients: Sequence[torch.Tensor] = ()
        self._updates = 0

    def place(self, named: Named) -> None:
        """Begin with these weights of the slice, by name (weight, bias), or put earlier ones back. Keeps the arrays."""
        import torch

        given = {name: torch.from_numpy(values) for name, values in named.items()}
        if self._named:
            for name, one in self._named.items():
                one.copy_(given[name])
        else:
            self._named = given
            self._adam = RowAdamW(list(given.values()))

    def loss(self, vectors: Vectors, classes: Classes, count: int) -> tuple[float, Vectors]:
        """Return the mean loss over ``count`` vectors, of which these are a part, and its gradient by these."""
        import torch

        every = self._group.gather(torch.from_numpy(vectors), count).requires_grad_()
        numbers = self._group.gather(torch.from_numpy(classes), count)
        places = numbers - self._first
        places[(places < 0) | (places >= self._count)] = -1
        self._rows = self._draw(places)
        if self._rows is not None:
            here = places >= 0
            places[here] = torch.searchsorted(self._rows, places[here])
        leaves = [one if self._rows is None else one[self._rows] for one in self._named.values()]
        leaves = [one.detach().requires_grad_() for one in leaves]
        with torch.enable_grad():
            scores = self._scores(every, places, **dict(zip(self._named, leaves, strict=True)))
        loss, gradient = cross_entropy(scores, places, self._group)
        found = torch.autograd.grad(scores, [every, *leaves], gradient)
        self._gradients = found[1:]
        own = slices(count, self._part.size)[self._part.rank]
        return float(loss), self._group.sum(found[0])[own].numpy()

    def gradients(self) -> dict[str, NDArray[np.generic]]:
        """Return the gradients that the last loss left, and the classes of the slice that they are of."""
        rows = np.arange(self._count) if self._rows is None else self._rows.numpy()
        found = {name: one.numpy() for name, one in zip(self._named, self._gradients, strict=True)}
        return {"classes": rows + self._first, **found}

    def step(self, rate: float, most: float, scale: float) -> None:
        """Update by ``scale`` times the gradients, their norm over all slices cut at ``most``."""
        import torch

        squares = torch.tensor([sum(float(one.norm()) ** 2 for one in self._gradients)], dtype=torch.float64)
        norm = float(self._group.sum(squares)) ** 0.5 * abs(scale)
        cut = scale * min(1.0, most / (norm + 1e-6))  # as torch.nn.utils.clip_grad_norm_ does
        for one in self._gradients:
            one.mul_(cut)
        self._adam.step(self._rows, self._gradients, rate)
        self._updates += 1
        self._gradients = ()

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return the weights, by name."""
        return {name: one.numpy() for name, one in self._named.items()}

    def moments(self) -> dict[str, NDArray[np.generic]]:
        """Return the optimiser's state, each by class, and the number of updates."""
        return {name: one.numpy() for name, one in self._adam.state().items()} | {"steps": np.array(self._updates)}

    def place_moments(self, named: Named) -> None:
        """Put an earlier state of the optimiser back."""
        import torch

        self._adam.restore({name: torch.from_numpy(one) for name, one in named.items() if name != "steps"})
        self._updates = int(named["steps"])

    def predict(self, vectors: Vectors) -> tuple[Vectors, Classes]:
        """Return the highest score of each unit vector among the slice's classes, and the class (the first of equals).

        The own class is not known, so there is no margin.
        """
        import torch

        best, classes = np.empty(len(vectors), np.float32), np.empty(len(vectors), np.int64)
        for part in (slice(start, start + _AT_ONCE) for start in range(0, len(vectors), _AT_ONCE)):
            given = torch.from_numpy(vectors[part])
            with torch.no_grad():
                found = self._scores(given, torch.full((len(given),), -1), **self._named).max(dim=1)
            best[part], classes[part] = found.values.numpy(), found.indices.numpy() + self._first
        return best, classes

    def peak(self) -> int:
        """Return the most bytes of memory that this process had at once."""
        return peak_memory()

    def _draw(self, places: torch.Tensor) -> torch.Tensor | None:
        """Return the classes of the slice that take part, ascending; None for all."""
        import torch

        if self._part.sample == 1:
            return None
        own = np.unique(places[places >= 0].numpy())
        wanted = max(1, int(self._part.sample * self._count))
        if len(own) >= wanted:
            return torch.from_numpy(own)
        generator = np.random.default_rng([self._part.seed, 2, self._updates, self._part.rank])
        others = generator.choice(self._count - len(own), wanted - len(own), replace=False, shuffle=False)
        # Numbers of what is left without the own ones, so each of those that stand before moves it on by one.
        others += np.searchsorted(own - np.arange(len(own)), others, side="right")
        return torch.from_numpy(np.sort(np.concatenate([own, others])))


def peak_memory() -> int:
    """Return the most bytes that this process had in memory since its program began."""
    import resource
    from pathlib import Path

    status = Path("/proc/self/status")
    if status.is_file():  # getrusage begins with what the parent had when it started this process
        return next(int(line.split()[1]) << 10 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
