"""Contrastive: every other document of the batch is a wrong answer (InfoNCE, sentence-transformers' own loss)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Pair, Vectors
from vector_assets.training.objectives.base import Classes, Seen

if TYPE_CHECKING:
    import torch

SCALE = 20.0
_WINDOW = 16  # batches sorted by length together: less padding, while negatives stay varied


class Contrastive:
    """Multiple negatives ranking. A batch never holds one query or one document twice: those would be no negatives."""

    head = None

    def start(self, vectors: Vectors, classes: Classes, check: tuple[Vectors, Classes]) -> None:
        """Need nothing to begin with."""

    def batches(
        self, examples: Sequence[Pair], lengths: Sequence[int], *, size: int, generator: np.random.Generator
    ) -> list[list[int]]:
        """Shuffle, sort by length inside windows, cut into batches, put clashing pairs off, shuffle the batches."""
        order = generator.permutation(len(examples))
        by_length = np.asarray(lengths)
        window = size * _WINDOW
        waiting: list[int] = []
        made: list[list[int]] = []
        for start in range(0, len(order), window):
            part = order[start : start + window]
            waiting.extend(int(place) for place in part[np.argsort(by_length[part], kind="stable")])
            last = start + window >= len(order)
            while len(waiting) >= size or (last and len(waiting) > 1):
                batch, waiting = _take(examples, waiting, size)
                if len(batch) > 1:  # a batch of one has nothing to tell it from
                    made.append(batch)
                if last and len(batch) <= 1:
                    break
        return [made[place] for place in generator.permutation(len(made))]

    def loss(self, seen: Seen) -> torch.Tensor:
        """Return the cross entropy of finding each query's own document among those of the batch."""
        import torch
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

        assert seen.queries is not None
        rows = torch.arange(len(seen.queries))
        if seen.weights is not None:  # a mean in which pairs count by weight; the library's loss has none
            scores = SCALE * seen.queries @ seen.documents.T  # (batch, batch)
            losses = torch.nn.functional.cross_entropy(scores, rows, reduction="none")
            return (losses * seen.weights).sum() / seen.weights.sum()
        # The vectors are at hand, so the loss needs no model to make them with.
        function = MultipleNegativesRankingLoss(model=torch.nn.Identity(), scale=SCALE)  # type: ignore[arg-type]
        return function.compute_loss_from_embeddings([seen.queries, seen.documents], rows)

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "contrastive", "scale": SCALE}


def _take(pairs: Sequence[Pair], waiting: Sequence[int], size: int) -> tuple[list[int], list[int]]:
    """Return the first ``size`` pairs that do not clash, and all others in their order."""
    queries: set[str] = set()
    documents: set[str] = set()
    batch: list[int] = []
    later: list[int] = []
    for number, place in zip(count(), waiting, strict=False):
        if len(batch) == size:
            return batch, later + list(waiting[number:])
        pair = pairs[place]
        if pair.query in queries or pair.document in documents:
            later.append(place)
            continue
        queries.add(pair.query)
        documents.add(pair.document)
        batch.append(place)
    return batch, later
