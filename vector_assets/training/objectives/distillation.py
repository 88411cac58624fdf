"""Distillation: the student gives the teacher's vectors (Reimers and Gurevych 2020; EmbedDistill, Kim et al. 2023).

1 - cosine between the two vectors of a text, sentence-transformers' EmbedDistillLoss. Where the widths differ, nothing
is learned that would be dropped afterwards: a wider teacher's vectors are projected onto their own main directions,
which keeps their products best of all linear maps (Eckart and Young 1936), and a narrower one's are filled up with
zeros, which keeps them exactly (``training/teacher.py``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Vectors
from vector_assets.training.objectives.base import unit_prefix
from vector_assets.training.objectives.shared import EncoderAlone

if TYPE_CHECKING:
    import torch


class Distillation(EncoderAlone):
    """Nearness to vectors that were computed once."""

    def __init__(self, targets: Vectors) -> None:
        """``targets`` are the teacher's unit vectors of all texts, (texts, dims as served)."""
        super().__init__()
        self._targets = targets

    def loss(self, places: Sequence[int], ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the mean distance of a batch."""
        import torch
        from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss

        assert self._network is not None, "start comes first"
        # The vectors are at hand, so the loss needs no model to make them with.
        function = EmbedDistillLoss(torch.nn.Identity(), distance_metric="cosine")  # type: ignore[arg-type]
        wanted = torch.from_numpy(np.ascontiguousarray(self._targets[list(places)]))
        found = unit_prefix(self._network.embed(ids), wanted.shape[1])
        return function.compute_loss_from_embeddings([found], [wanted])

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "distillation", "distance": "1 - cosine"}
