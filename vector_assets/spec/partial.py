"""Partial indexes: values of filter columns whose rows get a graph of their own."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from vector_assets.spec.field import FieldType

PartialValue: TypeAlias = str | int | float

#: Every row that is written is written into each graph that it matches, and each graph is measured.
MOST = 20
_LONGEST = 1000  # characters of a value


@dataclass(frozen=True, slots=True)
class PartialIndex:
    """The rows where ``field`` is ``value``."""

    field: str
    value: PartialValue

    @property
    def tree(self) -> dict[str, object]:
        """The filter that asks for just these rows."""
        return {"field": self.field, "op": "=", "value": self.value}

    def __str__(self) -> str:
        """``topic = cs``: for people to read."""
        return f"{self.field} = {self.value}"

    def name(self, table: str) -> str:
        """Name of its index on a generation's table of at most 48 bytes; with ``_new`` it stays below 63."""
        return f"{table}_p{hashlib.sha256(json.dumps([self.field, self.value]).encode()).hexdigest()[:8]}"


def partial_indexes(
    declared: Mapping[str, Sequence[PartialValue]], fields: Mapping[str, FieldType]
) -> tuple[PartialIndex, ...]:
    """Return what is declared; a whole number of a category is the text that the source's reader makes of it."""
    return tuple(
        PartialIndex(field, _typed(value, fields[field])) for field, some in declared.items() for value in some
    )


def _typed(value: PartialValue, kind: FieldType) -> PartialValue:
    if kind != "number":
        return str(value)
    return int(value) if isinstance(value, int) or value.is_integer() else value  # type: ignore[union-attr]


def wrong_partial(
    declared: Mapping[str, Sequence[PartialValue]], fields: Mapping[str, FieldType], filters: Sequence[str]
) -> Iterator[str]:
    """Yield what is wrong with ``index.partial``, a line each."""
    for field, values in declared.items():
        where = f"index.partial.{field}"
        if field not in filters:
            known = f"one of {', '.join(filters)}" if filters else f"filters: [{field}] beside it"
            yield f"{where}: is not among filters, whose columns are copied beside the vectors; expected {known}"
        elif fields.get(field) not in ("category", "text", "number"):
            yield f"{where}: is of type {fields.get(field)}; expected a field of type category, text or number"
        elif not values:
            yield f"{where}: names no value; expected at least one"
        else:
            yield from _wrong_values(where, values, fields[field])
    if sum(map(len, declared.values())) > MOST:
        yield f"index.partial: names more than {MOST} values, each of which costs every write; expected the widest"


def _wrong_values(where: str, values: Sequence[PartialValue], kind: FieldType) -> Iterator[str]:
    seen: set[PartialValue] = set()
    for value in values:
        shown = repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "..."
        number = not isinstance(value, str)
        if kind == "number" and (not number or not math.isfinite(value)):  # type: ignore[arg-type]
            yield f"{where}: {shown} is no number; expected values such as 3 or 2.5"
        elif kind != "number" and (isinstance(value, float) or (number and kind == "text")):
            yield f"{where}: {shown} is no {kind}; expected a text, in quotes where YAML reads another type"
        elif isinstance(value, str) and (len(value) > _LONGEST or "\0" in value):
            yield f"{where}: {shown} is no value that an index may stand on; expected at most {_LONGEST} characters"
        elif _typed(value, kind) in seen:
            yield f"{where}: {shown} stands twice; expected it once"
        else:
            seen.add(_typed(value, kind))
