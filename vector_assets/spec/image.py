"""The image space: one vector per row, from one image."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from vector_assets.spec.base import REVISION, ColumnName, Spec
from vector_assets.spec.chunking import Chunking
from vector_assets.spec.head import LABELLED
from vector_assets.spec.training import Training

ImagePooling = Literal["cls", "mean", "pooler", "projection"]
_TEXT_ONLY = {
    "chunk": "an image is not cut into chunks",
    "max_tokens": "an image has no tokens to count",
    "query_prefix": "an image has no text before it",
    "document_prefix": "an image has no text before it",
}

_TRAINED_TEXT_ONLY = {
    "matryoshka": "an image's vector is served whole",
    "learn_tokens": "an image has no tokens to count",
    "curve": "learning curves of image encoders are not drawn yet",
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
    revision: int = Field(default=0, ge=0, description=REVISION)
    train: Training | None = Field(
        default=None,
        description="From labels: classification, triplet or arcface. A document of the training set is the sha256 of "
        "a row's image, which is read again from the row when it is learned from.",
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

    @model_validator(mode="after")
    def _learns_from_labels(self) -> ImageSpace:
        train = self.train
        if train is None:
            return self
        if train.objective not in LABELLED:
            raise ValueError(
                f"train.objective: found {train.objective}; an encoder of images learns from labels; expected one of "
                f"{', '.join(LABELLED)}"
            )
        for wrong in sorted({*train.trainables} & {"lora", "mix"}):
            raise ValueError(f"train.trainable: found {wrong}; of an encoder of images learn all, last_<k> or head")
        if train.start != "pretrained":
            raise ValueError(f"train.start: found {train.start}; an encoder of images starts from its own weights")
        if train.pretrain and train.pretrain.objective != "views":
            raise ValueError(
                f"train.pretrain.objective: found {train.pretrain.objective}, which reads texts; expected views"
            )
        if train.pretrain and not (train.augment and train.augment.moves):
            raise ValueError(
                "train.augment: moves nothing, so that both views of an image would be equal; expected tilt, shift or "
                "zoom, which pretrain: views needs"
            )
        for key in ("layer", "lora_rank"):
            if train.search and getattr(train.search, key) is not None:
                raise ValueError(f"train.search.{key}: an encoder of images has none to choose; leave it out")
        for key, why in _TRAINED_TEXT_ONLY.items():
            if getattr(train, key) is not None:
                raise ValueError(f"train.{key}: {why}; leave it out of a space of kind image")
        return self
