"""Sources: where the rows of a collection come from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from vector_assets.spec.base import ColumnName, Spec
from vector_assets.spec.duration import Duration

FileFormat = Literal["jsonl", "csv", "tsv", "parquet"]


def _split_names(value: object) -> object:
    """Names in one text, because a template gives one text."""
    if not isinstance(value, str) or value.strip() == "*":
        return value
    return [name.strip() for name in value.split(",") if name.strip()]


class FileSource(Spec):
    """Rows of JSONL, CSV, TSV or Parquet files, plain or .gz, one path or a glob."""

    kind: Literal["file"]
    path: str = Field(
        min_length=1, description="A path, a glob or an fsspec URL; relative to the file that declares it."
    )
    id: ColumnName = Field(default="id", description="The column that names a row; unique, never empty.")
    format: FileFormat | None = Field(default=None, description="Taken from the file's ending when left out.")


class PythonCodeSource(Spec):
    """Functions and classes of installed distributions, parsed and never imported."""

    kind: Literal["python_code"]
    distributions: Annotated[
        Annotated[list[str], Field(min_length=1)] | Literal["*"], BeforeValidator(_split_names)
    ] = Field(description='Names of installed distributions, as a list or separated by commas, or "*" for all.')
    per_distribution: int | None = Field(
        default=None,
        ge=1,
        description="At most this many of each, the same ones every time (smallest hash of their id).",
    )
    tests: bool = Field(default=False, description="Modules of tests as well.")
    documented: bool = Field(default=True, description="Only functions and classes that have a docstring.")


class PostgresSource(Spec):
    """A table in the database of VECTOR_ASSETS_DATABASE_URL, read in place; no copy is made."""

    kind: Literal["postgres"]
    table: str = Field(pattern=r"^[^.\s]+(\.[^.\s]+)?$", description="table or schema.table; it needs a primary key.")
    capture: Literal["trigger", "watermark", "scan"] = Field(
        default="trigger",
        description=(
            "How changes are known: triggers that note the keys of what was written (made by the first run, shown by "
            "plan, removed when this says scan; where they cannot be had, the table is scanned), a column that grows "
            "with every write, or a comparison of all rows."
        ),
    )
    watermark: ColumnName | None = Field(
        default=None, description="For capture: watermark; a column that every insert and update sets anew."
    )
    overlap: Duration = Field(
        default="10m",
        validate_default=True,
        description="For capture: watermark; how long a transaction may hold back a row after its watermark was set.",
    )

    @model_validator(mode="after")
    def _watermark_is_named(self) -> Self:
        if (self.capture == "watermark") != (self.watermark is not None):
            raise ValueError("capture: watermark and watermark: COLUMN belong together; give both or neither")
        return self


Source = Annotated[FileSource | PythonCodeSource | PostgresSource, Field(discriminator="kind")]

#: What python_code rows carry, with the field type each has.
PYTHON_CODE_FIELDS = {
    "name": "text",
    "qualname": "text",
    "kind": "category",
    "signature": "text",
    "summary": "text",
    "docstring": "text",
    "body": "text",
    "distribution": "category",
    "module": "category",
    "lines": "number",
}
