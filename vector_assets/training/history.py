"""What a training tells: its steps, its looks at validation, where it is."""

from __future__ import annotations

from dataclasses import dataclass

from vector_assets.metrics import shown_metric
from vector_assets.training.watch import Evaluated


@dataclass(frozen=True, slots=True)
class Step:
    """One update."""

    step: int
    loss: float
    learning_rate: float
    stage: str = "train"


@dataclass(frozen=True, slots=True)
class History:
    """What happened. ``best_step`` 0 means that training never beat the base by ``metric``.

    Step 0 is the base also where the encoder was pretrained: its steps come first, and the look after them follows it.
    ``gap`` is how much better the kept weights score on what they learned from than on validation; for retrieval, how
    much more so than the base did, since one split may be harder than the other.
    """

    steps: tuple[Step, ...]
    evaluations: tuple[Evaluated, ...]
    best_step: int
    seconds: float
    metric: str = "mrr@10"
    gap: float = 0.0
    resumed_at: int | None = None

    def at(self, step: int) -> Evaluated:
        """Return the evaluation of a step."""
        return next(found for found in self.evaluations if found.step == step)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is, for a progress bar; ``steps`` is the most there can be. What is computed has no loss."""

    step: int
    steps: int
    loss: float | None
    best: float
    metric: str

    @property
    def words(self) -> str:
        """What a bar says beside it."""
        loss = "" if self.loss is None else f"loss {self.loss:.3f}, "
        return f"{loss}best {shown_metric(self.metric)} {self.best:.3f}"
