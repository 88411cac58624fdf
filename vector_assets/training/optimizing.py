"""The optimiser of a run: AdamW over the encoder and what learns beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vector_assets.training.objectives import Head

if TYPE_CHECKING:
    import torch

MAX_NORM = 1.0
#: A head learns this many times faster than the encoder below it.
HEAD_TIMES = 20


class Optimizer:
    """AdamW; the gradients of encoder and head are cut to a norm of 1, each for itself."""

    def __init__(self, parameters: Sequence[torch.nn.Parameter], head: Head | None, *, rate: float) -> None:
        import torch

        groups: list[dict[str, Any]] = [{"params": list(parameters), "times": 1}]
        groups += [{"params": head.parameters(), "times": HEAD_TIMES}] if head else []
        self._adam = torch.optim.AdamW([group for group in groups if group["params"]], lr=rate, weight_decay=0.01)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self._adam.zero_grad(set_to_none=True)

    def step(self, rate: float) -> None:
        """Update by the gradients."""
        import torch

        for group in self._adam.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], MAX_NORM)
            group["lr"] = rate * group["times"]
        self._adam.step()

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides the next steps beside the weights."""
        return self._adam.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put an earlier state back."""
        self._adam.load_state_dict(dict(state))
