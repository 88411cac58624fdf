"""Sources: where the rows of a collection come from."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from vector_assets.spec.base import ColumnName, SecretReference, Spec
from vector_assets.spec.duration import Duration

FileFormat = Literal["jsonl", "csv", "tsv", "parquet"]
PartitionUnit = Literal["hour", "day", "month"]

#: ``{date}`` or ``{date:%Y-%m-%d}`` in the path of files that are partitioned by time.
DATE_PLACEHOLDER = re.compile(r"\{date(?::([^{}]*))?\}")


def _split_names(value: object) -> object:
    """Names in one text, because a template gives one text."""
    if not isinstance(value, str) or value.strip() == "*":
        return value
    return [name.strip() for name in value.split(",") if name.strip()]


class FileSource(Spec):
    """Rows of JSONL, CSV, TSV or Parquet files, plain or .gz, one path or a glob. Only changed files are read again."""

    kind: Literal["file"]
    path: str = Field(
        min_length=1,
        description="A path, a glob or an fsspec URL; relative to the file that declares it. With partition: it has "
        "{date:%Y-%m-%d} where the time stands (%Y %m %d %H).",
    )
    id: ColumnName = Field(default="id", description="The column that names a row; unique, never empty.")
    format: FileFormat | None = Field(default=None, description="Taken from the file's ending when left out.")
    partition: PartitionUnit | None = Field(
        default=None, description="Files are partitioned by time: raw has Dagster partitions that can be backfilled."
    )
    since: date | None = Field(default=None, description="The first partition; needed with partition:.")
    allow_empty: bool = Field(
        default=False, description="No file, or no row where there were some, means that all rows left; else refused."
    )

    @model_validator(mode="after")
    def _is_partitioned_wholly(self) -> FileSource:
        placeholder = DATE_PLACEHOLDER.search(self.path)
        if self.partition is None:
            if placeholder:
                raise ValueError("path: has {date…} without partition; expected partition: hour, day or month")
            if self.since:
                raise ValueError("since: needs partition; expected partition: hour, day or month")
            return self
        if placeholder is None:
            raise ValueError("path: has no {date:%Y-%m-%d} to read the partition from; expected it once")
        if len(DATE_PLACEHOLDER.findall(self.path)) > 1:
            raise ValueError("path: has {date…} twice; expected it once")
        codes = re.findall("%.", self.date_format)
        needed = {"hour": "%Y%m%d%H", "day": "%Y%m%d", "month": "%Y%m"}[self.partition]
        if sorted(codes) != sorted(re.findall("%.", needed)):
            wanted = " ".join(re.findall("%.", needed))
            raise ValueError(f"path: {{date:{self.date_format}}}; expected {wanted} once each for a {self.partition}")
        if self.since is None:
            raise ValueError("since: is missing; expected the date of the first partition, such as 2026-01-01")
        return self

    @property
    def date_format(self) -> str:
        """How the path spells the time of a partition, for strftime."""
        found = DATE_PLACEHOLDER.search(self.path)
        default = {"hour": "%Y-%m-%d-%H", "day": "%Y-%m-%d", "month": "%Y-%m", None: ""}[self.partition]
        return (found[1] or default) if found else default


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
        default=None, description="For capture: watermark; a date or timestamp that every insert and update sets anew."
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


class SqlSource(Spec):
    """Rows of a query or table of any database that SQLAlchemy reaches, copied to raw."""

    kind: Literal["sql"]
    url: SecretReference = Field(
        description='The variable that holds an SQLAlchemy URL: "{{ env.WAREHOUSE_URL }}". Read when rows are read.'
    )
    query: str | None = Field(default=None, min_length=1, description="One select; either this or table.")
    table: str | None = Field(
        default=None, pattern=r"^[^.\s]+(\.[^.\s]+)?$", description="table or schema.table; either this or query."
    )
    id: ColumnName = Field(default="id", description="The column that names a row; unique, never null.")
    cursor: ColumnName | None = Field(
        default=None,
        description="A column that grows with every change of a row, such as updated_at: only rows from the last seen "
        "value on are read. Without it all rows are read each time.",
    )
    lookback: int = Field(
        default=0,
        ge=0,
        description="How far before the last seen cursor reading starts again, for rows that are committed late: "
        "seconds of a time, units of a number.",
    )
    deletes: Literal["sweep", "never"] = Field(
        default="sweep",
        description="sweep reads all ids each time, so that rows that left leave here; never: rows are not deleted.",
    )
    batch: int = Field(default=5_000, ge=1, le=1_000_000, description="Rows held in memory at a time.")
    allow_empty: bool = Field(
        default=False, description="No row where there were some means that all rows left; else refused."
    )

    @model_validator(mode="after")
    def _is_one_reading(self) -> SqlSource:
        if (self.query is None) == (self.table is None):
            raise ValueError("query and table: expected exactly one of them")
        if self.cursor is None and (self.deletes == "never" or self.lookback):
            key = "deletes" if self.deletes == "never" else "lookback"
            raise ValueError(f"{key}: has a meaning only with cursor; expected cursor: as well, or no {key}")
        return self


class QueueSource(Spec):
    """Messages {op, id, fields…} of a Postgres table or a broker, applied once and in the order of their row."""

    kind: Literal["queue"]
    queue: str = Field(
        min_length=1, description="Name of the broker's queue; of the table with position and message in Postgres."
    )
    url: SecretReference | None = Field(
        default=None,
        description="The variable that holds the URL of a broker (redis, amqp) or of another Postgres: "
        '"{{ env.QUEUE_URL }}". Left out: a table in our own database.',
    )
    id: ColumnName = Field(default="id", description="The key of a message that names its row.")
    sequence: ColumnName | None = Field(
        default=None,
        description="The key of a message whose whole number grows with each change of its row; older ones are "
        "passed over. Left out: the position in a table; the order of delivery of a broker.",
    )
    batch: int = Field(default=1_000, ge=1, le=100_000, description="Messages applied by one transaction.")
    redelivery: int = Field(
        default=300, ge=1, description="Seconds after which Redis hands out again what was not acknowledged."
    )


Source = Annotated[
    FileSource | PythonCodeSource | PostgresSource | SqlSource | QueueSource, Field(discriminator="kind")
]

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
