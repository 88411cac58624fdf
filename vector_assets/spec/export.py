"""Export: a copy of the live vectors outside of Postgres, beside the index."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vector_assets.spec.base import Spec

ExportFormat = Literal["parquet", "npz"]


class Export(Spec):
    """The live generation as files, written anew whenever another content went live."""

    url: str = Field(
        min_length=1, description="A folder or an fsspec URL such as s3://bucket/papers; relative to this file."
    )
    format: ExportFormat = Field(default="parquet", description="Parquet for tables, npz for numpy.")
    partitions: int | None = Field(
        default=None, ge=1, le=4096, description="Split into so many folders by the hash of the row's key."
    )
    rows_per_file: int | None = Field(
        default=None, ge=1, description="At most so many vectors in a file; 131072 for Parquet, 16384 for npz."
    )
