"""LoRA (Hu et al. 2021), with peft: low-rank additions to the matrices of a frozen model, merged when stored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vector_assets.errors import EncoderError

if TYPE_CHECKING:
    import torch

#: What is added is scaled by alpha / rank; twice the rank is what most use.
ALPHA = 2

_NAME = "default"


def add_adapters(transformer: Any, layers: Sequence[Any], *, rank: int, seed: int) -> None:  # noqa: ANN401 - any model
    """Add to every linear map inside the layers; the additions alone learn. Raises EncoderError without peft."""
    import torch

    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise EncoderError("trainable: lora needs peft; install vector-assets[lora]") from None
    inside = {id(module) for layer in layers for module in layer.modules() if isinstance(module, torch.nn.Linear)}
    names = [name for name, module in transformer.named_modules() if id(module) in inside]
    if not names:
        raise EncoderError(f"trainable: lora finds no linear map inside the layers of {type(transformer).__name__}")
    torch.manual_seed(seed)
    config = LoraConfig(r=rank, lora_alpha=ALPHA * rank, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(config, transformer, adapter_name=_NAME)


def merged(transformer: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401 - any model
    """Return each changed matrix with its addition, by the name it has in the plain model."""
    import torch
    from peft.tuners.lora import Linear

    adapters: dict[str, Any] = {name: one for name, one in transformer.named_modules() if isinstance(one, Linear)}
    with torch.no_grad():
        return {
            f"{name}.weight": adapter.get_base_layer().weight + adapter.get_delta_weight(_NAME)
            for name, adapter in adapters.items()
        }
