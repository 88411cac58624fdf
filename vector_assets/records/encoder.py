"""Encoders, what they return, and the checkpoints that they are loaded from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]  # (n, dims)
Kind = Literal["text", "image"]  # what a space reads
Input = str | bytes  # one text, or one image as the bytes of its file
# Each encoder takes inputs of its own kind only, which Any leaves it to say.
Inputs = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """Vectors of some inputs, in their order; ``truncated`` tells which were cut at the encoder's limit."""

    vectors: Vectors
    truncated: NDArray[np.bool_]
    tokens: int


class Encoder(Protocol):
    """Maps inputs of one kind to unit vectors. ``digest`` names the checkpoint, ``dims`` the width."""

    @property
    def digest(self) -> str:
        """sha256 over the checkpoint's files."""
        ...

    @property
    def dims(self) -> int:
        """Width of a vector."""
        ...

    def encode_documents(self, inputs: Inputs, /) -> Encoded:
        """Encode rows in bulk, in the fast precision that the machine was measured to allow."""
        ...

    def encode_queries(self, inputs: Inputs, /) -> Vectors:
        """Encode questions, in full precision."""
        ...


@runtime_checkable
class Tokenizes(Protocol):
    """What an encoder of texts may also do: tell where its tokens stand."""

    def token_spans(self, text: str, /) -> list[tuple[int, int]]:
        """Return [start, stop) of each token in characters, without special tokens, prefix and limit."""
        ...


@dataclass(frozen=True, slots=True)
class Canary:
    """A stored input with the vector it had when the checkpoint was made. An image is stored as a ``data:`` URL."""

    role: Literal["query", "document"]
    text: str
    vector: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One state of an encoder as stored: a folder, its digest, what its vectors mean, and where it was trained."""

    digest: str
    folder: Path
    contract: Mapping[str, object]
    canaries: tuple[Canary, ...]
    metrics: Mapping[str, float] = field(default_factory=dict)
    run_id: str | None = None
