"""What a cell may hold: a raw value and a declared type in, a value of that type out."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from vector_assets.records import Value
from vector_assets.source.storable import is_storable, what_is_not_storable
from vector_assets.spec.field import IMAGE_BYTES, FieldType

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_SHOWN = 60


class WrongValue(Exception):
    """A value is not of the type that was declared; the message says what was expected and found."""


def found(value: object) -> str:
    """Describe a value in an error: its kind and its start."""
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value):,} bytes"
    text = repr(value)
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return {
        bool: f"the boolean {str(value).lower()}",
        str: f"the text {shown}",
        int: f"the number {shown}",
        float: f"the number {shown}",
        dict: "an object",
        list: "a list",
        type(None): "null",
    }.get(type(value), f"{type(value).__name__} {shown}")


def shown(value: object) -> str:
    """Return what JSON cannot say as text, of bytes how many."""
    return found(value) if isinstance(value, bytes | bytearray | memoryview) else str(value)


def plain(value: object) -> object:
    """Return a value of a database as the others know it: a uuid is its text, a whole decimal a number."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    return value


def convert(value: object, kind: FieldType) -> Value:
    """Return the value as the declared type, None for a missing one. Raises WrongValue."""
    return None if value is None else _CONVERT[kind](value)


def convert_cell(cell: object, kind: FieldType) -> Value:
    """Return a cell of a CSV or TSV as the declared type; an empty cell is a missing value."""
    if cell == "":
        return None
    if kind == "number":
        if not isinstance(cell, str) or not _NUMBER.fullmatch(cell.strip()):
            raise WrongValue(f"expected a number, found {found(cell)}")
        return _number(float(cell))
    return _CONVERT[kind](cell)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise WrongValue(f"expected text, found {found(value)}")
    if not is_storable(value):
        raise WrongValue(f"expected text that Postgres can store, found {what_is_not_storable(value)}")
    return value


def _category(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _text(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise WrongValue(f"expected a number, found {found(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise WrongValue(f"expected a finite number, found {value!r}"[:160])
    return number


def _datetime(value: object) -> datetime:
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise WrongValue(f"expected an ISO 8601 date or time, found {found(value)}") from None
    if not isinstance(value, datetime):
        raise WrongValue(f"expected an ISO 8601 date or time, found {found(value)}")
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError:
        raise WrongValue(f"expected a time between the years 1 and 9999 in UTC, found {value}") from None


def too_large(size: int) -> str:
    """Say that an image has too many bytes."""
    return f"the image has {size:,} bytes; expected {IMAGE_BYTES:,} at most"


def _image(value: object) -> bytes:
    """Return the bytes of an image as they are, also from {bytes, path}, as datasets have it."""
    if isinstance(value, dict) and "bytes" in value and value.keys() <= {"bytes", "path"}:
        value = value["bytes"]
    if not isinstance(value, bytes | bytearray | memoryview):
        raise WrongValue(f"expected the bytes of an image, found {found(value)}")
    if len(value) > IMAGE_BYTES:
        raise WrongValue(too_large(len(value)))
    return bytes(value)


_CONVERT: dict[FieldType, Callable[[object], Value]] = {
    "text": _text,
    "category": _category,
    "number": _number,
    "datetime": _datetime,
    "image": _image,
}
