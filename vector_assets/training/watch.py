"""Watching validation: the best weights so far, and whether patience is at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vector_assets.records import RunLog
from vector_assets.training.network import Network
from vector_assets.training.objectives import Head

if TYPE_CHECKING:
    import torch

    Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One look at validation; step 0 is the untrained base."""

    step: int
    epoch: float
    metrics: dict[str, float]
    seconds: float


def best_of(seen: Sequence[Evaluated], metric: str) -> Evaluated:
    """Return the best, the earliest of equals: a tie keeps what was there."""
    return max(seen, key=lambda found: (found.metrics[metric], -found.step))


class Watch:
    """Remembers the best weights of network and head, and counts looks without improvement."""

    def __init__(
        self,
        network: Network,
        head: Head | None,
        patience: int,
        evaluate: Callable[[], dict[str, float]],
        log: RunLog,
        *,
        retrieval: str,
    ) -> None:
        self._retrieval = retrieval
        self._network, self._head, self._patience, self._evaluate, self._log = network, head, patience, evaluate, log
        self._start = time.perf_counter()
        self.since = 0
        self.seen: list[Evaluated] = []
        self.weights: Weights = {}
        self.head: Weights = {}

    @property
    def metric(self) -> str:
        """What the best is chosen by: accuracy where the head that is learned can say it, else retrieval."""
        says = self.seen and "accuracy" in self.seen[0].metrics and _decides(self._head)
        return "accuracy" if says else self._retrieval

    def follow(self, head: Head | None) -> None:
        """Watch another head: it was started once more."""
        self._head = head

    @property
    def best(self) -> Evaluated:
        """The best so far."""
        return best_of(self.seen, self.metric)

    @property
    def is_over(self) -> bool:
        """No improvement for as many looks as patience allows."""
        return self.since >= self._patience

    def look(self, step: int, epoch: float) -> None:
        """Evaluate, log, and keep the weights when they are the best so far."""
        found = Evaluated(step, epoch, self._evaluate(), time.perf_counter() - self._start)
        self.seen.append(found)
        self.tell(found)
        if self.best is found:
            self.weights, self.since = self._network.weights(), 0
            self.head = self._head.state() if self._head else {}
        else:
            self.since += 1

    def tell(self, found: Evaluated) -> None:
        """Log one look."""
        names = {f"validation/{name.replace('@', '_at_')}": value for name, value in found.metrics.items()}
        self._log.metrics({**names, "train/epoch": found.epoch}, step=found.step)


def _decides(head: Head | None) -> bool:
    return head is not None and head.bias is not None  # ArcFace's centres serve retrieval, and have none
