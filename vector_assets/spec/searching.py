"""Searching: what a search does when nothing else is asked."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vector_assets.spec.base import Spec


class Rerank(Spec):
    """A cross-encoder reads the question together with each of the best rows, and orders these anew."""

    model: str = Field(
        min_length=1,
        description="./folder or hf:owner/name@revision: a sequence classification model of transformers with one or "
        "two labels, as safetensors. A search never goes online: one from the hub has to be in its cache already.",
    )
    top: int = Field(
        default=50, ge=1, le=1000, description="How many of the best rows are read; the time grows with it."
    )
    max_tokens: int | None = Field(
        default=None, ge=8, description="Question and text are cut to this; the model's own limit when left out."
    )


class Svm(Spec):
    """Ranking by a support vector machine, which learns what sets the question and the liked rows apart."""

    c: float = Field(
        default=0.1,
        gt=0,
        le=1000,
        description="How much an example that is on the wrong side costs; 1 suits many clean ones.",
    )


class Searching(Spec):
    """What a search does when nothing else is asked."""

    method: Literal["vector", "exact", "svm"] = Field(default="vector", description="How rows are ranked.")
    rerank: Rerank | None = None
    diverse: float = Field(
        default=0,
        ge=0,
        le=1,
        description="Above 0, rows that repeat what is found already make way (maximal marginal relevance); 1 looks "
        "at nothing else after the first.",
    )
    svm: Svm = Svm()
