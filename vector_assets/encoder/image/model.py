"""A vision model of transformers: (n, 3, height, width) pixels -> (n, dims), pooled as the contract says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vector_assets.encoder.contract import read_json
from vector_assets.encoder.quiet import quiet
from vector_assets.errors import EncoderError
from vector_assets.records import Vectors
from vector_assets.spec.image import ImagePooling

_BATCH = 16


@dataclass(frozen=True, slots=True)
class Architecture:
    """How transformers calls a model, the poolings it has (the first is the usual one), tokens before its patches."""

    model: str
    poolings: tuple[ImagePooling, ...]
    prefix: int = 0
    projected: str = ""  # the class that projects into the space of texts
    pooler: tuple[str, ...] = ()  # where the weights of its pooler stand, which not every folder has


_CLIP = Architecture("CLIPVisionModel", ("projection", "cls", "mean", "pooler"), 1, "CLIPVisionModelWithProjection")
_SIGLIP = Architecture("SiglipVisionModel", ("pooler", "mean"), pooler=("head.", "vision_model.head."))
#: By ``model_type`` of config.json.
ARCHITECTURES = {
    "vit": Architecture("ViTModel", ("cls", "mean", "pooler"), 1, pooler=("pooler.",)),
    "deit": Architecture("DeiTModel", ("cls", "mean", "pooler"), 2, pooler=("pooler.",)),
    "dinov2": Architecture("Dinov2Model", ("cls", "mean"), 1),
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "resnet": Architecture("ResNetModel", ("pooler", "mean")),
    "convnext": Architecture("ConvNextModel", ("pooler", "mean"), pooler=("layernorm.",)),
    "convnextv2": Architecture("ConvNextV2Model", ("pooler", "mean"), pooler=("layernorm.",)),
}


def architecture_of(folder: Path) -> tuple[str, Architecture]:
    """Return ``model_type`` of a folder and what is known of it. Raises EncoderError for one that is not."""
    kind = str(read_json(folder / "config.json").get("model_type") or "missing")
    if kind not in ARCHITECTURES:
        raise EncoderError(
            f"{folder}: config.json has model_type {kind}; expected a vision model, one of {', '.join(ARCHITECTURES)}"
        )
    return kind, ARCHITECTURES[kind]


def choose_pooling(folder: Path, asked: ImagePooling | None) -> ImagePooling:
    """Return the pooling that is asked for, or the model's usual one. Raises EncoderError for one it does not have."""
    kind, known = architecture_of(folder)
    if asked is not None and asked not in known.poolings:
        raise EncoderError(f"{folder}: {kind} has no pooling {asked}; expected one of {', '.join(known.poolings)}")
    return asked or known.poolings[0]


class VisionModel:
    """Loads offline, from safetensors, without running code of the folder."""

    def __init__(self, folder: Path, pooling: ImagePooling) -> None:
        """Raises EncoderError when transformers refuses the folder, or weights that the pooling needs are missing."""
        self.folder = folder
        self.pooling = pooling
        _, self._known = architecture_of(folder)
        self._model = self._load()

    def run(self, pixels: NDArray[np.float32]) -> Vectors:
        """Return (n, dims) float32, not of unit length yet."""
        import torch

        with torch.inference_mode():
            parts = [
                self.pooled(self._model(pixel_values=torch.from_numpy(pixels[start : start + _BATCH])))
                for start in range(0, len(pixels), _BATCH)
            ]
            vectors: Vectors = torch.cat(parts).float().numpy()
        return vectors

    @property
    def module(self) -> Any:  # noqa: ANN401 - one of the models above
        """The model of transformers, for training."""
        return self._model

    @property
    def unused(self) -> tuple[str, ...]:
        """How the names of tensors begin that the pooling does not use: random, where the folder has none."""
        return (self.pooling != "pooler" and self._known.pooler) or ("\0",)

    def pooled(self, given: Any) -> Any:  # noqa: ANN401 - tensors, whose library is not imported here
        """Return (n, dims) of what the model gives."""
        if self.pooling == "projection":
            return given.image_embeds
        if self.pooling == "pooler":
            return given.pooler_output.flatten(1)
        hidden = given.last_hidden_state
        if self.pooling == "cls":
            return hidden[:, 0]
        return hidden.flatten(2).mean(2) if hidden.ndim == 4 else hidden[:, self._known.prefix :].mean(1)

    def _load(self) -> Any:  # noqa: ANN401 - one of the models above
        import transformers

        name = self._known.projected if self.pooling == "projection" else self._known.model
        # Of both towers together the configuration states this width once, outside of the vision tower's own part.
        width = read_json(self.folder / "config.json").get("projection_dim") if self._known.projected else None
        settled = {"projection_dim": width} if width else {}
        with quiet():
            try:
                model, said = getattr(transformers, name).from_pretrained(
                    str(self.folder), local_files_only=True, trust_remote_code=False, use_safetensors=True,
                    dtype="float32", output_loading_info=True, **settled,
                )  # fmt: skip
            except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
                first = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise EncoderError(f"{self.folder}: cannot be loaded as {name}: {first}") from error
        missing = sorted(key for key in said["missing_keys"] if not key.startswith(self.unused))
        if missing:
            raise EncoderError(
                f"{self.folder}: the weights have no {missing[0]}{' and others' if missing[1:] else ''}, which "
                f"{name} with pooling {self.pooling} needs: they would be random"
            )
        return model.eval()
