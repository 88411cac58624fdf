"""Model files whose last layer is another: cut after it, or followed by a mix of all layers.

Both are what sentence-transformers loads as it is. A cut model has the lower layers only. A mix is that library's
WeightedLayerPooling behind the transformer, with weights that sum to 1 (the scalar mix of ELMo, Peters et al. 2018:
embeddings and all layers, softmax of learned scalars). ELMo's factor gamma is left out: a vector of length 1 is the
same whatever it is, so it would be moved by rounding errors alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vector_assets.encoder.contract import modules_of, read_json
from vector_assets.encoder.layers import Layer, count_layers, layer_settings
from vector_assets.encoder.text.modules import MODULE, listed_modules, write_json, write_modules

#: Name of the mix's tensor, (layers + 1), the embeddings first; its file stands in this folder of the model.
MIX_TENSOR, MIX_FOLDER = "layer_weights", "1_Mix"
_MIX = "WeightedLayerPooling"
_OF_LAYER = re.compile(r"(?:^|\.)layer\.(\d+)\.")


def take_layer(folder: Path, layer: Layer) -> None:
    """Make ``layer``, as a contract states it, the one that the model in ``folder`` gives; -1 changes nothing."""
    config = read_json(folder / "config.json")
    count = count_layers(config, of=folder)
    if layer == "mix":
        if mix_folder(folder) is None:
            _add_mix(folder, config, count)
    elif 0 < layer < count:
        write_json(folder / "config.json", {**config, **layer_settings(config, layer)})
        _cut_weights(folder, layer)


def mix_folder(folder: Path) -> Path | None:
    """Return where a model keeps the weights of its layers; None where it gives one layer."""
    found = [module for module in modules_of(folder) if str(module["type"]).rsplit(".", 1)[-1] == _MIX]
    return folder / str(found[0]["path"]) if found else None


def mix_weights(folder: Path) -> list[float] | None:
    """Return the weights of embeddings and layers, which sum to 1; None where the model gives one layer."""
    from safetensors.numpy import load_file

    place = mix_folder(folder)
    if place is None:
        return None
    start = int(read_json(place / "config.json").get("layer_start") or 0)
    weights = [0.0] * start + [float(value) for value in load_file(place / "model.safetensors")[MIX_TENSOR]]
    return [weight / sum(weights) for weight in weights]


def _cut_weights(folder: Path, layers: int) -> None:
    """Leave out the tensors of the layers above, and their names in the list of a model of several files."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if _is_below(name, layers)]  # noqa: SIM118 - not a mapping
            tensors, metadata = {name: file.get_tensor(name) for name in names}, file.metadata()
        save_file(tensors, path, metadata=metadata)
    for path in sorted(folder.glob("*.safetensors.index.json")):
        index = read_json(path)
        kept = {name: file for name, file in index.get("weight_map", {}).items() if _is_below(name, layers)}
        write_json(path, {**index, "weight_map": kept})


def _is_below(name: str, layers: int) -> bool:
    found = _OF_LAYER.search(name)
    return found is None or int(found[1]) < layers


def _add_mix(folder: Path, config: Mapping[str, Any], layers: int) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    width = int(config.get("hidden_size") or config.get("dim") or 0)
    (folder / MIX_FOLDER).mkdir()
    stated = {"embedding_dimension": width, "layer_start": 0, "num_hidden_layers": layers}
    write_json(folder / MIX_FOLDER / "config.json", stated)
    uniform = np.full(layers + 1, 1 / (layers + 1), np.float32)
    save_file({MIX_TENSOR: uniform}, folder / MIX_FOLDER / "model.safetensors", metadata={"format": "pt"})
    write_json(folder / "config.json", {**config, "output_hidden_states": True})
    modules = listed_modules(folder, width)
    write_modules(folder, [modules[0], {"path": MIX_FOLDER, "type": MODULE + _MIX}, *modules[1:]])
