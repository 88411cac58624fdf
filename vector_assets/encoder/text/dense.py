"""Linear steps between the pooling and the length of 1: sentence-transformers' Dense without an activation.

Other Dense modules (an activation, a residual, another input) are run by the plain engine alone, through that library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vector_assets.encoder.contract import modules_of, read_json
from vector_assets.encoder.text.modules import MODULE, listed_modules, write_json, write_modules
from vector_assets.records import Vectors

if TYPE_CHECKING:
    import torch

_DENSE, _NORMALIZE = "Dense", "Normalize"
_IDENTITY = "torch.nn.modules.linear.Identity"
_PLAIN: Mapping[str, object] = {
    "activation_function": _IDENTITY,
    "module_input_name": "sentence_embedding",
    "module_output_name": "sentence_embedding",
    "use_residual": False,
}
#: What sentence-transformers takes for a setting that is not stated; of the activation that is tanh.
_UNSTATED: Mapping[str, object] = {**_PLAIN, "activation_function": "torch.nn.modules.activation.Tanh"}


@dataclass(frozen=True, slots=True)
class Linear:
    """W x + b: ``weight`` is (dims out, dims in), ``bias`` (dims out) or nothing."""

    weight: torch.Tensor
    bias: torch.Tensor | None


def are_linear(folder: Path) -> bool:
    """Tell whether every Dense of a model is a linear map of the pooled vector and nothing else."""
    return all(
        (place / "model.safetensors").is_file() and _is_plain(read_json(place / "config.json"))
        for place in _places(folder)
    )


def read_linear(folder: Path) -> list[Linear]:
    """Return the linear steps of a model that has no other Dense, in their order."""
    from safetensors.torch import load_file

    found = [load_file(place / "model.safetensors") for place in _places(folder)]
    return [Linear(one["linear.weight"].float(), _float(one.get("linear.bias"))) for one in found]


def through(vectors: torch.Tensor, steps: Sequence[Linear]) -> torch.Tensor:
    """Return pooled vectors after the steps, in float32; gradients pass through."""
    import torch

    for step in steps:
        vectors = torch.nn.functional.linear(vectors.float(), step.weight, step.bias)
    return vectors


def add_linear(folder: Path, weight: Vectors, *, pooled: int) -> None:
    """Put W x behind all that a model does to a vector but bringing it to length 1, which is its last step afterwards.

    ``weight`` is (dims out, dims in); ``pooled`` is the width that the model's pooling gives, which a folder that names
    no modules does not say.
    """
    import numpy as np
    from safetensors.numpy import save_file

    modules: list[Mapping[str, Any]] = listed_modules(folder, pooled)
    while _kind(modules[-1]) == _NORMALIZE:
        modules = modules[:-1]
    taken = {str(module["path"]) for module in modules}
    numbers = range(len(modules), 2 * len(modules) + 2)
    dense = next(name for number in numbers if (name := f"{number}_{_DENSE}") not in taken)
    (folder / dense).mkdir()
    stated = {**_PLAIN, "bias": False, "in_features": weight.shape[1], "out_features": weight.shape[0]}
    del stated["use_residual"]  # its default; left out, as the library does for its own older versions
    write_json(folder / dense / "config.json", stated)
    tensors = {"linear.weight": np.ascontiguousarray(weight, np.float32)}
    save_file(tensors, folder / dense / "model.safetensors", metadata={"format": "pt"})
    added = [
        {"path": dense, "type": MODULE + _DENSE},
        {"path": f"{len(modules) + 1}_{_NORMALIZE}", "type": MODULE + _NORMALIZE},
    ]
    write_modules(folder, [*modules, *added])


def _places(folder: Path) -> list[Path]:
    return [folder / str(module["path"]) for module in modules_of(folder) if _kind(module) == _DENSE]


def _is_plain(settings: Mapping[str, Any]) -> bool:
    return all((settings.get(name) or default) == _PLAIN[name] for name, default in _UNSTATED.items())


def _kind(module: Mapping[str, Any]) -> str:
    return str(module["type"]).rsplit(".", 1)[-1]


def _float(bias: torch.Tensor | None) -> torch.Tensor | None:
    return None if bias is None else bias.float()
