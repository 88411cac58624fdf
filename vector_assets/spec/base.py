"""The base of every declaration: frozen, nothing unknown accepted."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
ENV_REFERENCE = re.compile(r"\{\{\s*env\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")

#: What every space says of its revision.
REVISION = (
    "Count it up to make another checkpoint of the same encoder, with canaries of today: the way out when a library "
    "has moved for good (docs/drift.md). An encoder that is trained is trained anew."
)

#: Columns that Postgres has in every table, or that the view over a collection's rows adds.
RESERVED_COLUMNS = frozenset(
    ("tableoid", "ctid", "xmin", "xmax", "cmin", "cmax", "source_part", "generation", "embedded_at", "stale")
)
#: The key's columns also stand beside the arguments and results of the search function.
RESERVED_KEYS = RESERVED_COLUMNS | {"q", "k", "checkpoint", "exact", "chunk_no", "score",
    "chunk_start", "chunk_stop", "chunk_digest", "filter", "words", "fusion", "vector_score", "bm25_score",
    "row_vector", "vector_role", "vector_place", "vector_state", "row_keys", "sample_size",
}  # fmt: skip
#: What search adds to a collection's name for its view and its other functions.
RESERVED_ENDINGS = ("_rows", "_filtered", "_bm25", "_hybrid", "_vectors")


class Spec(BaseModel):
    """What a user declares. Two equal declarations are equal values."""

    # Inputs are hidden from pydantic's own message: what stands in place of a reference may be a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _is_name(value: str) -> str:
    if not NAME.fullmatch(value):
        raise ValueError("must match [a-z][a-z0-9_]{0,39}: a small letter, then small letters, digits or _")
    return value


def _is_column(value: str) -> str:
    if not value or len(value.encode()) > 63 or any(ord(c) < 32 for c in value):
        raise ValueError("must be a column name of 1 to 63 bytes")
    return value


def _is_env_reference(value: str) -> str:
    if not ENV_REFERENCE.fullmatch(value):
        raise ValueError("must be a reference such as {{ env.MY_DATABASE_URL }}: secrets never stand in a declaration")
    return value


def variable_of(reference: str) -> str:
    """Return the name of the variable that a SecretReference refers to."""
    found = ENV_REFERENCE.fullmatch(reference)
    assert found, "a SecretReference is one"
    return found[1]


Name = Annotated[str, AfterValidator(_is_name)]
ColumnName = Annotated[str, AfterValidator(_is_column)]
SecretReference = Annotated[str, AfterValidator(_is_env_reference)]
Share = Annotated[float, Field(gt=0, lt=1)]
