"""Sources: where the rows of a collection come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from vector_assets.spec.base import ColumnName, Spec

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
