"""A student made of its teacher: some of the layers, all else as it is.

Layers are taken evenly, the last always: of six, three are the second, fourth and sixth (every second one, as
DistilBERT and the PKD-Skip of Sun et al. 2019 do).
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from vector_assets.encoder.contract import read_json
from vector_assets.encoder.files import model_files
from vector_assets.encoder.text.layers import mix_folder
from vector_assets.errors import EncoderError

_LAYER = re.compile(r"^(.*\blayers?\.)(\d+)(\..+)$")
_COUNTS = ("num_hidden_layers", "n_layers")
#: Settings that name layers one by one; a model that has one is not understood here.
_PER_LAYER = ("layer_types", "num_hidden_groups")


def cut_layers(source: Path, layers: int, destination: Path) -> Path:
    """Write the model of ``source`` with so many of its layers to a new folder; return it.

    Raises EncoderError when there are not more, or where they cannot be told apart.
    """
    from safetensors import safe_open
    from safetensors.torch import save_file

    config = read_json(source / "config.json")
    key = next((name for name in _COUNTS if name in config), None)
    there = int(config[key]) if key else 0
    files = sorted(source.glob("*.safetensors"))
    if len(files) != 1 or any(name in config for name in _PER_LAYER):
        raise EncoderError(f"{source}: its layers cannot be told apart; leave layers out and name a small encoder")
    if mix_folder(source) is not None:
        raise EncoderError(f"{source}: a mix of all its layers, none of which can be left out; leave train.layers out")
    if layers >= there:
        raise EncoderError(f"{source}: train.layers {layers}; expected fewer than the {there} that it has")
    kept = {round((place + 1) * there / layers) - 1: place for place in range(layers)}
    with safe_open(files[0], framework="pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    found = {int(match[2]) for name in tensors if (match := _LAYER.match(name))}
    if found != set(range(there)):
        raise EncoderError(
            f"{source}: {len(found)} layers found, {there} stated; leave layers out and name a small encoder"
        )
    for path in model_files(source):
        target = destination / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        if path != files[0]:
            shutil.copyfile(path, target)
    here = {}
    for name, tensor in tensors.items():
        match = _LAYER.match(name)
        if match is None:
            here[name] = tensor
        elif int(match[2]) in kept:
            here[f"{match[1]}{kept[int(match[2])]}{match[3]}"] = tensor
    save_file(here, destination / files[0].name, metadata=metadata)
    (destination / "config.json").write_text(json.dumps(config | {str(key): layers}, indent=2) + "\n", encoding="utf-8")
    return destination
