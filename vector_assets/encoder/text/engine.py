"""What computes vectors from token ids: ``plain`` runs any model, ``packed`` runs BERT faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vector_assets.records import Vectors


class Engine(Protocol):
    """Runs one batch of token ids through a model."""

    @property
    def name(self) -> str:
        """What it is called in reports."""
        ...

    def run(self, ids: Sequence[Sequence[int]], *, fast: bool) -> Vectors:
        """Return unit float32 vectors, one per text; ``fast`` computes in bfloat16."""
        ...
