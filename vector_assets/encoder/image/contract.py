"""What the vectors of an image encoder mean: the model, the pooling, and all that is done to an image before."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from vector_assets.encoder.contract import CONTRACT_FILE, REVISION, differences, stored_model
from vector_assets.encoder.image.preprocessing import PREPROCESSOR_FILE, Preprocessing, read_preprocessing
from vector_assets.errors import EncoderError
from vector_assets.spec.image import ImagePooling


class ImageContract(Preprocessing):
    """What a vector of an image means."""

    format: Literal[1] = 1
    kind: Literal["image"] = "image"
    model: str = Field(description="model_type of config.json.")
    pooling: ImagePooling
    normalized: bool = Field(default=True, description="Vectors have length 1.")
    dims: int = Field(ge=1)
    revision: int = Field(default=0, ge=0, description=REVISION)


def read_image_contract(folder: Path) -> ImageContract:
    """Read a checkpoint's stored contract. Raises EncoderError when it is absent or not of an image encoder."""
    return stored_model(folder, ImageContract)


def require_same_preprocessing(folder: Path, contract: ImageContract) -> None:
    """Raise EncoderError, naming both sides, where preprocessor_config.json says something else than the contract."""
    promised = Preprocessing(**{name: getattr(contract, name) for name in Preprocessing.model_fields})
    moved = differences(promised, read_preprocessing(folder))
    if moved:
        more = f" (and {len(moved) - 1} more)" if len(moved) > 1 else ""
        raise EncoderError(
            f"{folder}: {CONTRACT_FILE} and {PREPROCESSOR_FILE} disagree on {moved[0]}{more}: images would not be "
            "seen as those that are stored were; restore the file, or materialize the encoder anew"
        )
