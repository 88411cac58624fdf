"""The index: a target for its recall, not its knobs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vector_assets.spec.base import Spec


class Index(Spec):
    """How vectors are indexed and how true the index must be to an exact scan."""

    type: Literal["hnsw"] = Field(default="hnsw", description="The kind of pgvector index.")
    metric: Literal["cosine"] = Field(default="cosine", description="How two vectors are compared.")
    recall: float = Field(default=0.95, gt=0, le=1, description="Mean recall@10 against an exact scan, at least.")
    worst_recall: float | None = Field(
        default=None, gt=0, le=1, description="The same for the worst query, when declared."
    )
