"""Full or fast precision in bulk, decided by a short measurement on this machine rather than by its name."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from vector_assets.errors import UserError
from vector_assets.records import Vectors

Precision = Literal["full", "fast"]

MIN_SPEEDUP = 1.2
MIN_MEAN_COSINE = 0.9999
MIN_COSINE = 0.9995
ROUNDS = 2

#: ``off``: full precision also where the CPU has bfloat16, so that machines of several kinds compute alike.
SWITCH = "VECTOR_ASSETS_BFLOAT16"

#: Sixteen texts of unlike length and kind; what they say does not matter, only that they are ordinary.
SAMPLE_TEXTS = tuple(
    (text + " ") * repeats
    for repeats in (1, 4)
    for text in (
        "Return the indices of the maximum values along an axis.",
        "The committee approved the budget for next year after a long debate in March.",
        "def close(self): self._connection.close(); self._connection = None",
        "Patients treated with the compound showed a reduced inflammatory response.",
        "Best way to clean a cast iron pan without removing its seasoning?",
        "SELECT count(*) FROM orders WHERE shipped_at IS NULL AND total > 100;",
        "Raises ValueError: if both the start and the end date are missing or malformed.",
        "Blue ceramic mug, 350 ml, dishwasher safe, ships within two working days.",
    )
)


@dataclass(frozen=True, slots=True)
class PrecisionReport:
    """What the measurement found and what follows from it."""

    precision: Precision
    speedup: float
    mean_cosine: float
    min_cosine: float


def has_bfloat16() -> bool:
    """Tell whether bfloat16 is worth a measurement: oneDNN computes in it on this CPU, and nobody switched it off.

    Without the CPU's help it is emulated, which is never faster. Raises UserError for another value of the switch.
    """
    import torch

    said = os.environ.get(SWITCH) or "auto"
    if said not in ("auto", "off"):
        raise UserError(f"{SWITCH}: expected auto or off, found {said!r}")
    if said == "off":
        return False

    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def measure(
    full: Callable[[], Vectors], fast: Callable[[], Vectors], *, clock: Callable[[], float] = time.perf_counter
) -> PrecisionReport:
    """Run both in turn on the same texts; fast is chosen when it is faster by enough and true within the bounds."""
    exact, rough = full(), fast()  # also warms both up
    cosines = np.sum(exact.astype(np.float64) * rough, axis=1)
    mean, least = float(cosines.mean()), float(cosines.min())
    true = mean >= MIN_MEAN_COSINE and least >= MIN_COSINE  # False for NaN too
    if not true:
        return PrecisionReport("full", 0.0, mean, least)
    times: dict[str, list[float]] = {"full": [], "fast": []}
    for _ in range(ROUNDS):  # interleaved, so that a busy moment hits both
        for name, run in (("full", full), ("fast", fast)):
            start = clock()
            run()
            times[name].append(clock() - start)
    speedup = min(times["full"]) / max(min(times["fast"]), 1e-9)
    return PrecisionReport("fast" if speedup >= MIN_SPEEDUP else "full", speedup, mean, least)
