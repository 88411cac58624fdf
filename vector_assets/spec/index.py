"""The index: a target for its recall, not its knobs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictFloat, StrictInt, StrictStr, model_validator

from vector_assets.spec.base import ColumnName, Spec

IndexType = Literal["hnsw", "ivfflat", "exact"]
Precision = Literal["float32", "half", "binary"]
Metric = Literal["cosine", "inner_product", "l2"]


class Index(Spec):
    """How vectors are indexed and how true the index must be to an exact scan.

    How widely the index is searched follows from ``recall``: it is measured.
    """

    type: IndexType = Field(
        default="hnsw",
        description="hnsw: a graph, the fastest to search; ivfflat: lists, built some ten times sooner and searched "
        "more slowly; exact: no index, every vector is compared.",
    )
    precision: Precision | None = Field(
        default=None,
        description="float32 (up to 2,000 dimensions); half: two bytes a number, half the table and half the index (up "
        "to 4,000); binary: one bit a number in the index, whose candidates are ranked again by the stored vectors "
        "(up to 16,000). Left out: the first of them that holds the dimensions.",
    )
    metric: Metric = Field(
        default="cosine",
        description="How two vectors are compared. All vectors have length 1, which is checked, so that all three rank "
        "alike; the score is the cosine.",
    )
    recall: float = Field(default=0.95, gt=0, le=1, description="Mean recall@10 against an exact scan, at least.")
    worst_recall: float | None = Field(
        default=None, gt=0, le=1, description="The same for the worst query, when declared."
    )
    partial: dict[ColumnName, list[StrictStr | StrictInt | StrictFloat]] = Field(
        default={},
        description="Values of fields under filters: that get a graph of their own, over the rows that have the value: "
        "{topic: [cs, math]}. vector-assets status proposes those that pay. Only with type hnsw, at most 20.",
    )

    @model_validator(mode="after")
    def _bits_are_for_graphs(self) -> Index:
        if self.precision == "binary" and self.type != "hnsw":
            raise ValueError(f"index.precision: binary is not offered with type {self.type}; expected type hnsw")
        if self.partial and self.type != "hnsw":
            raise ValueError(f"index.partial: is not offered with type {self.type}; expected type hnsw")
        return self
