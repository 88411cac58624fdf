"""The scalar mix of layers while it learns (ELMo, Peters et al. 2018): weights are the softmax of free scalars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from vector_assets.encoder.text.layers import MIX_TENSOR

if TYPE_CHECKING:
    import torch

_LEAST = 1e-12  # of a weight, whose logarithm is taken


def mix_of(model: Any, *, learns: bool) -> torch.nn.Parameter | None:  # noqa: ANN401 - a SentenceTransformer
    """Return the scalars (layers + 1) of a model with a mix, which its weights follow from then on; else None."""
    import torch
    from torch.nn.utils import parametrize

    class Softmax(torch.nn.Module):
        def forward(self, scalars: torch.Tensor) -> torch.Tensor:
            return scalars.softmax(0)

        def right_inverse(self, weights: torch.Tensor) -> torch.Tensor:
            return (weights / weights.sum()).clamp_min(_LEAST).log()

    found: Any = next((module for module in model if type(module).__name__ == "WeightedLayerPooling"), None)
    if found is None:
        return None
    parametrize.register_parametrization(found, MIX_TENSOR, Softmax())
    scalars: torch.nn.Parameter = found.parametrizations[MIX_TENSOR].original
    scalars.requires_grad_(learns)
    return scalars


def with_mix(learned: Mapping[str, torch.Tensor], scalars: torch.nn.Parameter | None) -> dict[str, torch.Tensor]:
    """Return what the stored model gets, with the weights that the scalars stand for where these have learned."""
    if scalars is None or not scalars.requires_grad:
        return dict(learned)
    return {**learned, MIX_TENSOR: scalars.detach().softmax(0)}
