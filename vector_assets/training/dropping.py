"""Dropout while learning, in the layers that learn alone: what is frozen stays computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from vector_assets.errors import EncoderError

if TYPE_CHECKING:
    import torch


def dropouts_in(layers: Sequence[Any], name: str) -> list[torch.nn.Dropout]:
    """Return the layers' dropouts; EncoderError naming the checkpoint where there are none."""
    import torch

    found = [module for layer in layers for module in layer.modules() if isinstance(module, torch.nn.Dropout)]
    if not found:
        raise EncoderError(f"{name}: the layers that learn have no dropout; expected train without dropout")
    return found


@contextmanager
def dropping(dropouts: Sequence[torch.nn.Dropout], share: float) -> Iterator[None]:
    """Zero this share at random in these places (Srivastava et al. 2014) for the length of the block.

    The modules around them stay in evaluation; so BERT's attention keeps all its weights, packed or padded.
    """
    before = [dropout.p for dropout in dropouts]
    for dropout in dropouts:
        dropout.p = share
        dropout.train()
    try:
        yield
    finally:
        for dropout, own in zip(dropouts, before, strict=True):
            dropout.p = own
            dropout.eval()
