"""When validation is looked at, and how large a step is."""

from __future__ import annotations

WARM_UP_SHARE = 0.1


def looks_after(batches: int, wanted: int) -> set[int]:
    """Return after which batches of an epoch to evaluate: evenly, the last one included."""
    return {max(1, round(batches * (number + 1) / wanted)) for number in range(wanted)}


def rate_share(step: int, most: int) -> float:
    """Share of the learning rate: up over the first tenth, then down to a fiftieth at the last possible step."""
    warm = max(1, int(most * WARM_UP_SHARE))
    return (step + 1) / warm if step < warm else max(0.02, (most - step) / max(1, most - warm))
