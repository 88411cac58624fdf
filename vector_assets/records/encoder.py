"""Encoders, what they return, and the checkpoints that they are loaded from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (n, dims)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of some texts, in their order; ``truncated`` tells which were cut at the encoder's limit."""

    vectors: Vectors
    truncated: NDArray[np.bool_]
    tokens: int


class Encoder(Protocol):
    """Maps texts to unit vectors. ``digest`` names the checkpoint, ``dims`` the width."""

    @property
    def digest(self) -> str:
        """sha256 over the checkpoint's files."""
        ...

    @property
    def dims(self) -> int:
        """Width of a vector."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Encode rows in bulk, in the fast precision that the machine was measured to allow."""
        ...

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """Encode questions, in full precision."""
        ...


@dataclass(frozen=True, slots=True)
class Canary:
    """A stored input with the vector it had when the checkpoint was made."""

    role: Literal["query", "document"]
    text: str
    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of an encoder as stored: a folder, its digest, what its vectors mean, and where it was trained."""

    digest: str
    folder: Path
    contract: Mapping[str, str | int | float | bool | None]
    canaries: tuple[Canary, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    run_id: str | None = None
