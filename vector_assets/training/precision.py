"""Whether training gains by bfloat16 on this machine, measured on one batch."""

from __future__ import annotations

import time
from collections.abc import Sequence

from vector_assets.encoder.text.precision import has_bfloat16
from vector_assets.training.network import Network

MIN_SPEEDUP = 1.1


def gains_by_bfloat16(network: Network, ids: Sequence[Sequence[int]]) -> bool:
    """Time forward and backward of one batch both ways, twice; the network's weights are not changed."""
    if not has_bfloat16() or not network.parameters():
        return False
    best = {False: float("inf"), True: float("inf")}
    before = network.fast
    for network.fast in best:
        network.prepare(ids)
    for _ in range(3):  # the first round warms up, and its times never win
        for fast in best:
            network.fast = fast
            start = time.perf_counter()
            network.embed(ids).sum().backward()  # type: ignore[no-untyped-call]
            best[fast] = min(best[fast], time.perf_counter() - start)
    network.fast = before
    network.forget()
    for parameter in network.parameters():
        parameter.grad = None
    return best[False] >= MIN_SPEEDUP * best[True]
