"""Spaces: one part of a collection's vector, an encoder over some fields."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vector_assets.spec.base import REVISION, ColumnName, Spec
from vector_assets.spec.chunking import Chunking
from vector_assets.spec.search import Layer
from vector_assets.spec.training import Training


class TextSpace(Spec):
    """One vector per row, or per chunk, from the text of its fields, joined by line breaks."""

    kind: Literal["text"] = "text"
    fields: list[ColumnName] = Field(min_length=1, description="Declared fields, in the order they are read.")
    encoder: str = Field(
        default="minilm",
        min_length=1,
        description="minilm, hf:owner/name@revision, ./folder, models:/NAME@alias, provider:MODEL, or static: before "
        "one of the first four: the mean of its token vectors, whatever stands beside them. Some hundred times cheaper "
        "and worse, the arm to compare with; it cannot be trained.",
    )
    max_tokens: int | None = Field(default=None, ge=8, description="Shorter than the encoder's own limit, for speed.")
    dims: int | None = Field(
        default=None,
        ge=2,
        description="Vectors are cut to their first dims and scaled to length 1 again, when rows and when questions "
        "are encoded. Best with an encoder that was trained for it (train.matryoshka); train: {objective: pca} learns "
        "from the rows which dims to keep instead of the first. All dims when left out.",
    )
    query_prefix: str | None = Field(
        default=None, description="Put before a question; the encoder's own when left out."
    )
    document_prefix: str | None = Field(
        default=None, description="Put before a row's text; the encoder's own when left out."
    )
    layer: Layer | None = Field(
        default=None,
        description="The encoder's layer whose token vectors are pooled: 4 is the fourth, -2 the last but one (the "
        "layers above are neither stored nor computed), mix a weighted mean of all, equal weights until trained. The "
        "last when left out. For encoders of the BERT family.",
    )
    revision: int = Field(default=0, ge=0, description=REVISION)
    chunk: Chunking = Chunking()
    train: Training | None = None

    @model_validator(mode="after")
    def _is_ours_to_change(self) -> TextSpace:
        if self.encoder.startswith("provider:"):
            if self.train is not None:
                raise ValueError(f"train: {self.encoder} is computed by a provider and cannot be trained; leave it out")
            if self.layer is not None:
                raise ValueError(f"layer: {self.encoder} is computed by a provider; leave it out")
            if self.max_tokens is not None:
                raise ValueError(f"max_tokens: {self.encoder} is cut by its provider; leave it out")
            if self.dims is not None:
                raise ValueError(f"dims: {self.encoder} is as wide as its provider makes it; leave it out")
            if self.chunk.by == "tokens":
                raise ValueError(f"chunk.by: the tokens of {self.encoder} are its provider's; expected another kind")
        return self

    @model_validator(mode="after")
    def _is_a_table(self) -> TextSpace:
        if self.encoder.startswith("static:"):
            behind = self.encoder.removeprefix("static:")
            if not behind or behind.startswith(("static:", "provider:")):
                raise ValueError(f"encoder: {self.encoder} names no model folder; expected static:minilm or the like")
            if self.train is not None:
                raise ValueError(f"train: {self.encoder} is a table of token vectors and is not trained; leave it out")
            if self.layer is not None:
                raise ValueError(f"layer: {self.encoder} is what is below all layers; leave it out")
        return self

    @model_validator(mode="after")
    def _reads_its_chunks(self) -> TextSpace:
        most = (self.max_tokens or 0) - 2
        if self.chunk.by == "tokens" and self.max_tokens and self.chunk.limit > most:
            raise ValueError(
                f"chunk.size: {self.chunk.limit} tokens are more than max_tokens {self.max_tokens} leaves beside the "
                f"special ones; expected {most} at most"
            )
        return self

    @model_validator(mode="after")
    def _is_told_how_many_dims(self) -> TextSpace:
        if self.train and self.train.objective == "pca" and self.dims is None:
            raise ValueError(
                "dims: is missing; train.objective: pca makes fewer of the encoder's; expected how many, such as 128"
            )
        return self

    @model_validator(mode="after")
    def _layer_fits(self) -> TextSpace:
        train = self.train
        if train is None:
            return self
        if train.augment:
            raise ValueError("train.augment: changes images, and this space reads text; leave it out")
        if train.pretrain and train.pretrain.objective == "views":
            raise ValueError(
                "train.pretrain.objective: found views, which are of images; expected dropout_pairs or denoising"
            )
        layers = (self.layer, *((train.search.layer if train.search else None) or ()))
        if "mix" in train.trainables and "mix" not in layers:
            raise ValueError("train.trainable: mix learns the weights of layers; the space needs layer: mix")
        if "mix" in layers and train.denoises:
            raise ValueError("layer: denoising rebuilds texts from one layer; leave mix out, or denoising")
        if train.layers and self.layer is not None:
            raise ValueError("layer: train.layers says already how many layers the student has; leave layer out")
        return self
