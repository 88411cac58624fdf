"""Which texts are encoded together: of like length, up to a budget of tokens, so that little is computed on padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOKEN_BUDGET = 4096


def token_batches(lengths: Sequence[int], budget: int = TOKEN_BUDGET) -> list[NDArray[np.intp]]:
    """Return batches of positions, longest texts first; rows x longest length stays within the budget.

    A text longer than the budget is a batch of its own. Every position occurs exactly once.
    """
    counts = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-counts, kind="stable")
    batches, start = [], 0
    while start < order.size:
        # The first of a batch is its longest, so it alone decides how many rows fit.
        rows = max(1, budget // max(1, int(counts[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def padded_tokens(lengths: Sequence[int], batches: Sequence[NDArray[np.intp]]) -> int:
    """Return how many tokens are computed when each batch is padded to its longest text."""
    counts = np.asarray(lengths, dtype=np.int64)
    return int(sum(batch.size * counts[batch].max() for batch in batches))
