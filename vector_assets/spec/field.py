"""Fields: the typed columns that a collection reads from its source."""

from __future__ import annotations

from typing import Literal

FieldType = Literal["text", "number", "datetime", "category"]

#: The Postgres type that a field has in ``raw`` when we copy the source.
POSTGRES_TYPES: dict[FieldType, str] = {
    "text": "text",
    "number": "double precision",
    "datetime": "timestamp with time zone",
    "category": "text",
}
