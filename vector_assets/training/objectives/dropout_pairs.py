"""Dropout pairs (unsupervised SimCSE, Gao et al. 2021): a text read twice with dropout finds itself in its batch.

The noise of dropout is the only difference between the two views; the other texts are the wrong answers. Temperature
0.05, as in the paper, which is the contrastive scale of 20.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from vector_assets.errors import EncoderError
from vector_assets.training.objectives.base import unit_prefix
from vector_assets.training.objectives.contrastive import SCALE, in_batch
from vector_assets.training.objectives.shared import EncoderAlone

if TYPE_CHECKING:
    import torch

    from vector_assets.training.network import Network


class DropoutPairs(EncoderAlone):
    """Two passes of the same texts through the network, with dropout on."""

    def __init__(self, widths: Sequence[int] = ()) -> None:
        """``widths`` are those to learn beside the whole vector (see matryoshka.py)."""
        super().__init__()
        self._widths = tuple(widths)

    def start(self, network: Network) -> None:
        """Keep the network. Raises EncoderError when it has no dropout, so that both views would be equal."""
        if not network.dropout:
            raise EncoderError(
                f"{network.name}: dropout_pairs needs a model with dropout, and this one's is 0; expected denoising, "
                "or hidden_dropout_prob in its config.json"
            )
        super().start(network)

    def loss(self, places: Sequence[int], ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the cross entropy of finding each text's second view by its first."""
        assert self._network is not None, "start comes first"
        first, second = (self._network.embed(ids, dropout=True) for _ in range(2))
        total = in_batch(first, second)
        for width in self._widths:
            total = total + in_batch(unit_prefix(first, width), unit_prefix(second, width))
        return total

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        widths = {"matryoshka": ", ".join(map(str, self._widths))} if self._widths else {}
        return {"objective": "dropout_pairs", "scale": SCALE, **widths}
