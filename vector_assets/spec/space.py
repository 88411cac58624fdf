"""Spaces: one part of a collection's vector, an encoder over some fields."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vector_assets.spec.base import ColumnName, Spec
from vector_assets.spec.training import Training


class TextSpace(Spec):
    """One vector per row from the text of its fields, joined by line breaks."""

    kind: Literal["text"] = "text"
    fields: list[ColumnName] = Field(min_length=1, description="Declared fields, in the order they are read.")
    encoder: str = Field(
        default="minilm",
        min_length=1,
        description="minilm, hf:owner/name@revision, ./folder, models:/NAME@alias or provider:MODEL.",
    )
    max_tokens: int | None = Field(default=None, ge=8, description="Shorter than the encoder's own limit, for speed.")
    query_prefix: str | None = Field(
        default=None, description="Put before a question; the encoder's own when left out."
    )
    document_prefix: str | None = Field(
        default=None, description="Put before a row's text; the encoder's own when left out."
    )
    train: Training | None = None

    @model_validator(mode="after")
    def _is_ours_to_change(self) -> TextSpace:
        if self.encoder.startswith("provider:"):
            if self.train is not None:
                raise ValueError(f"train: {self.encoder} is computed by a provider and cannot be trained; leave it out")
            if self.max_tokens is not None:
                raise ValueError(f"max_tokens: {self.encoder} is cut by its provider; leave it out")
        return self


Space = TextSpace
