"""Fields: the typed columns that a collection reads from its source."""

from __future__ import annotations

from typing import Literal

FieldType = Literal["text", "number", "datetime", "category", "image"]

#: The Postgres type that a field has in ``raw`` when we copy the source.
POSTGRES_TYPES: dict[FieldType, str] = {
    "text": "text",
    "number": "double precision",
    "datetime": "timestamp with time zone",
    "category": "text",
    "image": "bytea",
}

#: The bytes that an image may have, as a file: more is a failure of its row.
IMAGE_BYTES = 20_000_000
