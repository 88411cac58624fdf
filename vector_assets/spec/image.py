"""The image space: one vector per row, from one image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from vector_assets.spec.base import ColumnName, Spec
from vector_assets.spec.space import Chunking
from vector_assets.spec.training import Training

ImagePooling = Literal["cls", "mean", "pooler", "projection"]
_TEXT_ONLY = {
    "chunk": "an image is not cut into chunks",
    "train": "encoders of images are not trained yet",
    "max_tokens": "an image has no tokens to count",
    "query_prefix": "an image has no text before it",
    "document_prefix": "an image has no text before it",
}


class ImageSpace(Spec):
    """One vector per row, from the image in its field. Asked with an image, not with words."""

    kind: Literal["image"]
    fields: list[ColumnName] = Field(min_length=1, max_length=1, description="One declared field of type image.")
    encoder: str = Field(
        min_length=1,
        description="A vision model of transformers with its preprocessor_config.json, weights as safetensors: "
        "./folder, hf:owner/name@revision or models:/NAME@alias.",
    )
    pooling: ImagePooling | None = Field(
        default=None,
        description="What is taken for the vector: cls (the class token), mean (of all places), pooler (the model's "
        "own), projection (of CLIP, into the space that it shares with texts). Left out: projection for CLIP, pooler "
        "for SigLIP and convolutional networks, else cls.",
    )

    @model_validator(mode="before")
    @classmethod
    def _has_no_keys_of_texts(cls, given: object) -> object:
        for key, why in _TEXT_ONLY.items():
            if isinstance(given, dict) and key in given:
                raise ValueError(f"{key}: {why}; leave it out of a space of kind image")
        return given

    @field_validator("encoder")
    @classmethod
    def _is_a_folder(cls, value: str) -> str:
        if value == "minilm" or value.startswith(("provider:", "static:")):
            raise ValueError("must be ./folder, hf:owner/name@revision or models:/NAME@alias of a vision model")
        return value

    @property
    def chunk(self) -> Chunking:
        """An image is never cut."""
        return Chunking()

    @property
    def train(self) -> Training | None:
        """Encoders of images are taken as they are."""
        return None
