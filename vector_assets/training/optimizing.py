"""The optimiser of a run: AdamW over what learns here, and a head's own where it brings one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vector_assets.training.heads import Head, SplitHead
from vector_assets.training.heads.rows import DECAY

if TYPE_CHECKING:
    import torch

MAX_NORM = 1.0
#: A head learns this many times faster than the encoder below it.
HEAD_TIMES = 20


class Optimizer:
    """AdamW; the gradients of encoder, layer weights and head are cut to a norm of 1, each for itself.

    ``quick`` are those of the parameters that learn as fast as a head: the weights of a mix of layers.
    """

    def __init__(
        self,
        parameters: Sequence[torch.nn.Parameter],
        head: Head | None,
        *,
        rate: float,
        quick: Sequence[torch.nn.Parameter] = (),
    ) -> None:
        import torch

        those = {id(one) for one in quick}
        rest = [one for one in parameters if id(one) not in those]
        groups: list[dict[str, Any]] = [{"params": rest, "times": 1}, {"params": list(quick), "times": HEAD_TIMES}]
        groups += [{"params": head.parameters(), "times": HEAD_TIMES}] if head else []
        groups = [group for group in groups if group["params"]]
        self._adam = torch.optim.AdamW(groups, lr=rate, weight_decay=DECAY) if groups else None
        self._own = head if isinstance(head, SplitHead) else None

    def zero_grad(self) -> None:
        """Forget the gradients."""
        if self._adam:
            self._adam.zero_grad(set_to_none=True)

    def step(self, rate: float) -> None:
        """Update by the gradients."""
        import torch

        if self._adam:
            for group in self._adam.param_groups:
                torch.nn.utils.clip_grad_norm_(group["params"], MAX_NORM)
                group["lr"] = rate * group["times"]
            self._adam.step()
        if self._own:
            self._own.step(rate * HEAD_TIMES, MAX_NORM)

    def state_dict(self) -> dict[str, Any]:
        """Return all that decides the next steps beside the weights."""
        state = self._adam.state_dict() if self._adam else {}
        return {"adam": state, "head": self._own.moments()} if self._own else state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Put an earlier state back."""
        if self._own:
            self._own.restore_moments(state["head"])
            state = state["adam"]
        if self._adam:
            self._adam.load_state_dict(dict(state))
