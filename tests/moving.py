"""A library that computes something slightly different."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from vector_assets.encoder.text.packed import PackedEngine
from vector_assets.encoder.text.plain import PlainEngine


def moved(run: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Cosine .998 to what it was."""

    def other(*args: object, **options: object) -> np.ndarray:
        vectors = run(*args, **options)
        vectors = vectors + 0.0632 * np.roll(vectors, 1, axis=1)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return other


def move_library(patch: pytest.MonkeyPatch) -> None:
    """Both engines compute so from now on."""
    for engine in (PackedEngine, PlainEngine):
        patch.setattr(engine, "run", moved(engine.run))
