"""Vectors as Postgres gives them, and as numpy wants them."""

from __future__ import annotations

import numpy as np
from pgvector import HalfVector, Vector

from vector_assets.records import Vectors


def to_array(value: object) -> Vectors:
    """Return a vector of either type as float32 (dims,)."""
    if isinstance(value, Vector | HalfVector):
        return np.asarray(value.to_numpy(), dtype=np.float32)
    raise TypeError(f"expected a vector, found {type(value).__name__}")
