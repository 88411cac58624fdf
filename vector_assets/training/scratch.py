"""The same architecture with weights that know nothing: what training from scratch starts from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from vector_assets.encoder.contract import read_json
from vector_assets.encoder.files import model_files
from vector_assets.encoder.quiet import quiet
from vector_assets.errors import EncoderError

_COUNTS = ("num_hidden_layers", "n_layers")
#: Settings that name layers one by one: with fewer layers they would not fit.
_PER_LAYER = ("layer_types", "num_hidden_groups")


def fresh_model(source: Path, destination: Path, *, layers: int | None = None, seed: int = 0) -> Path:
    """Write the model of ``source`` to a new folder with weights drawn anew; return it.

    The weights come from the architecture's own initialiser (transformers, by its config), in float32, and are the
    same for the same seed. Tokenizer, pooling and all other files stay. With ``layers`` it has so many, at most as
    many as ``source``. Raises EncoderError for an architecture that cannot be drawn, and for weights outside of it.
    """
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file
    from transformers import AutoConfig, AutoModel

    config = _config(source, layers)
    weights = [path for path in model_files(source) if path.suffix == ".safetensors"]
    beside = sorted(str(path.parent.relative_to(source)) for path in weights if path.parent != source)
    if beside:
        raise EncoderError(
            f"{source}: has learned weights in {beside[0]} besides its transformer, which train.start: scratch cannot "
            "draw anew; expected an encoder without them"
        )
    stored: set[str] = set()
    for path in weights:
        with safe_open(path, framework="pt") as file:
            stored.update(file.keys())
    for path in model_files(source):
        if path.suffix != ".safetensors" and not path.name.endswith(".safetensors.index.json"):
            target = destination / path.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    (destination / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            described = AutoConfig.from_pretrained(destination, local_files_only=True, trust_remote_code=False)
            model = AutoModel.from_config(described, dtype=torch.float32)  # type: ignore[no-untyped-call]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EncoderError(f"{source}: no fresh weights can be drawn: {first}; leave train.start out") from error
    has_pooler = any("pooler." in name for name in stored)
    drawn = {
        name: tensor.detach().clone().contiguous()
        for name, tensor in model.state_dict().items()
        if has_pooler or not name.startswith("pooler.")
    }
    save_file(drawn, destination / "model.safetensors", metadata={"format": "pt"})
    return destination


def _config(source: Path, layers: int | None) -> dict[str, object]:
    """Return config.json, with so many layers where that is asked for."""
    config = read_json(source / "config.json")
    if layers is None:
        return config
    key = next((name for name in _COUNTS if name in config), None)
    if key is None or any(name in config for name in _PER_LAYER):
        raise EncoderError(f"{source}: its layers cannot be counted; leave train.layers out")
    there = int(config[key])
    if layers > there:
        raise EncoderError(f"{source}: train.layers {layers}; expected at most the {there} that it has")
    return config | {key: layers}
