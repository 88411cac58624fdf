"""How far a cursor column was read: its highest value, kept as text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

from vector_assets.errors import SourceError
from vector_assets.source.values import found

Position = int | float | Decimal | datetime | date | str
#: By the name of its type.
_READ: dict[str, Callable[[str], Position]] = {
    "int": int,
    "float": float,
    "Decimal": Decimal,
    "datetime": datetime.fromisoformat,
    "date": date.fromisoformat,
    "str": str,
}


def later(highest: object, value: object, where: str) -> object:
    """Return the higher of two values of a cursor; null has no place among them. Raises SourceError."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return highest
    if isinstance(value, bool) or not isinstance(value, Position):
        raise SourceError(f"{where}: the cursor is {found(value)}; expected a number, a time or text")
    try:
        return value if highest is None else max(highest, value)  # type: ignore[call-overload]
    except TypeError:
        raise SourceError(f"{where}: the cursor is {found(value)} and {found(highest)}; expected one type") from None


def before(position: Position, lookback: int) -> Position:
    """Return the position to start from again."""
    if not lookback:
        return position
    if isinstance(position, date):
        return position - timedelta(seconds=lookback)
    if isinstance(position, str):
        raise SourceError("lookback: the cursor is text; expected a number or a time to look back from")
    return position - lookback


def encode(position: object) -> str:
    """Return a position as text that ``decode`` reads back."""
    kind = type(position).__name__
    text = position.isoformat() if isinstance(position, date) else str(position)
    return json.dumps([kind, text])


def decode(text: str) -> Position:
    """Return a position from its text."""
    kind, value = json.loads(text)
    return _READ[kind](value)
