"""Contrastive: every other document of the batch is a wrong answer (InfoNCE, sentence-transformers' own loss).

Mined negatives of a batch are wrong answers to all of its queries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Pair, Vectors
from vector_assets.spec import SCALES
from vector_assets.training.objectives.base import Classes, Seen

if TYPE_CHECKING:
    import torch

SCALE = SCALES["contrastive"]
_WINDOW = 16  # batches sorted by length together: less padding, while negatives stay varied


class Contrastive:
    """Multiple negatives ranking. A batch never holds one query or one document twice: those would be no negatives."""

    head = None

    def __init__(self, scale: float = SCALE) -> None:
        self._scale = scale

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
        """Return the cross entropy of finding each query's own document among those of the batch and the negatives."""
        assert seen.queries is not None
        if seen.weights is None:
            return in_batch(seen.queries, seen.documents, seen.negatives, scale=self._scale)
        return weighted(seen.queries, seen.documents, seen.weights, seen.negatives, scale=self._scale)

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "contrastive", "scale": self._scale}


def in_batch(
    queries: torch.Tensor, documents: torch.Tensor, negatives: torch.Tensor | None = None, *, scale: float = SCALE
) -> torch.Tensor:
    """Return the mean of -log softmax over (documents, negatives) at each query's own document, scale x cosine."""
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    # The vectors are at hand, so the loss needs no model to make them with.
    function = MultipleNegativesRankingLoss(model=torch.nn.Identity(), scale=scale)  # type: ignore[arg-type]
    more = [negatives] if negatives is not None else []
    return function.compute_loss_from_embeddings([queries, documents, *more], torch.arange(len(queries)))


def weighted(
    queries: torch.Tensor, documents: torch.Tensor, weights: torch.Tensor, negatives: torch.Tensor | None = None,
    *, scale: float = SCALE,
) -> torch.Tensor:  # fmt: skip
    """Return the same as a mean in which pairs count by weight, (batch,); the library's loss has none."""
    import torch

    others = documents if negatives is None else torch.cat([documents, negatives])
    scores = scale * queries @ others.T  # (batch, batch + negatives)
    losses = torch.nn.functional.cross_entropy(scores, torch.arange(len(queries)), reduction="none")
    return (losses * weights).sum() / weights.sum()


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
