"""Which folders are taken for an image encoder, and which are refused before anything of them is loaded."""

from __future__ import annotations

from pathlib import Path

from vector_assets.encoder.contract import CONTRACT_FILE, read_json
from vector_assets.encoder.files import check_weights
from vector_assets.encoder.image.preprocessing import PREPROCESSOR_FILE
from vector_assets.errors import EncoderError


def is_image_checkpoint(folder: Path) -> bool:
    """Tell whether a stored checkpoint reads images."""
    return read_json(folder / CONTRACT_FILE, optional=True).get("kind") == "image"


def check_image_folder(folder: Path) -> None:
    """Raise EncoderError unless the folder holds safetensors weights, both configurations, and no code."""
    if not folder.is_dir():
        raise EncoderError(
            f"{folder}: no such folder; an encoder of images is a folder with weights, config.json and "
            f"{PREPROCESSOR_FILE}"
        )
    for name in ("config.json", PREPROCESSOR_FILE):
        if "auto_map" in read_json(folder / name):
            raise EncoderError(f"{folder}: {name} names code of its own (auto_map), which is not run")
    check_weights(folder)
