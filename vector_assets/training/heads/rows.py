"""AdamW (Loshchilov and Hutter 2019) that keeps its state by row: a row without a gradient is not touched at all.

Neither decay nor momentum moves such a row, and its moments stay as they are, bit for bit. Each row counts its own
updates, so that the moments' correction for having started at zero is right for a row that is seldom drawn. With all
rows in every step this is torch's AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

BETAS = (0.9, 0.999)
EPSILON = 1e-8
DECAY = 0.01

#: Rows at a time: what is computed in between stays in the processor's cache.
_BLOCK = 1024


class RowAdamW:
    """Updates tensors of the same rows in place."""

    def __init__(self, parameters: Sequence[torch.Tensor]) -> None:
        import torch

        self._parameters = list(parameters)
        self._first = [torch.zeros_like(one) for one in parameters]
        self._second = [torch.zeros_like(one) for one in parameters]
        self._updates = torch.zeros(len(parameters[0]), dtype=torch.int32)

    def step(self, rows: torch.Tensor | None, gradients: Sequence[torch.Tensor], rate: float) -> None:
        """Update ``rows`` (distinct positions, None for all) by their gradients, in the same order."""
        if rows is None:
            self._updates += 1
        else:
            self._updates[rows] += 1
        for place, gradient in enumerate(gradients):
            tensors = self._parameters[place], self._first[place], self._second[place]
            for part in _blocks(len(gradient)):
                if rows is None:  # views: changed where they are, and all of one age
                    _update([one[part] for one in tensors], gradient[part], self._updates[:1], rate)
                    continue
                chosen = rows[part]
                copies = [one[chosen] for one in tensors]
                _update(copies, gradient[part], self._updates[chosen], rate)
                for one, changed in zip(tensors, copies, strict=True):
                    one.index_copy_(0, chosen, changed)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the moments and counts, by name; all of them by row. They are the live ones, no copies."""
        numbered = {f"first_{place}": one for place, one in enumerate(self._first)}
        numbered |= {f"second_{place}": one for place, one in enumerate(self._second)}
        return {**numbered, "updates": self._updates}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state back."""
        for name, one in self.state().items():
            one.copy_(state[name])


def _blocks(rows: int) -> Iterator[slice]:
    return (slice(start, min(start + _BLOCK, rows)) for start in range(0, rows, _BLOCK))


def _update(tensors: Sequence[torch.Tensor], gradient: torch.Tensor, updates: torch.Tensor, rate: float) -> None:
    """Update a block of parameters and moments in place; ``updates`` counts this one, per row or one for all."""
    parameter, first, second = tensors
    ages = updates.double().reshape(-1, *[1] * (parameter.dim() - 1))
    short, long = (1 - beta**ages for beta in BETAS)
    first.lerp_(gradient, 1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    parameter.mul_(1 - rate * DECAY)
    if len(updates) == 1:
        below = second.sqrt().div_(math.sqrt(float(long))).add_(EPSILON)
        parameter.addcdiv_(first, below, value=-rate / float(short))
    else:
        below = second.sqrt().div_(long.sqrt().to(second.dtype)).add_(EPSILON)
        parameter.sub_(first.div(below).mul_((rate / short).to(first.dtype)))
