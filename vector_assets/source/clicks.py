"""Logs of clicks: what was shown where and whether it was clicked, from files and from tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from vector_assets.errors import SourceError
from vector_assets.records import KeyColumn
from vector_assets.source.columns import read_columns, text_of
from vector_assets.source.keys import parse_key, row_key
from vector_assets.source.storage import find_files
from vector_assets.source.values import WrongValue, convert, found, plain

NEEDED = ("query", "shown", "position", "clicked")
OPTIONAL = ("session", "time")
#: Nobody looks further down; a larger number is another column.
_DEEPEST = 10_000
_CLICKED = {"1": True, "0": False, "true": True, "false": False, "t": True, "f": False}


@dataclass(frozen=True, slots=True)
class Impression:
    """One row shown for one query. ``shown`` is its JSON row key; ``position`` starts from 1; ``session`` may be ""."""

    query: str
    shown: str
    position: int
    clicked: bool
    session: str = ""
    time: datetime | None = None


def read_clicks(url: str, key: Sequence[KeyColumn], *, timed: bool = False) -> Iterator[Impression]:
    """Stream a file or glob in its order. Raises SourceError naming the first line that is no impression.

    With ``timed`` a line without ``time`` is none.
    """
    needed, optional = ((*NEEDED, "time"), ("session",)) if timed else (NEEDED, OPTIONAL)
    for file in find_files(url):
        with closing(read_columns(file, needed, optional)) as lines:
            for where, values in lines:
                yield as_impression(values, key, where, timed=timed)


def as_impression(
    values: Mapping[str, object], key: Sequence[KeyColumn], where: str, *, timed: bool = False
) -> Impression:
    """Read one line, whose columns are known to be there. Raises SourceError."""
    clicked = plain(values["clicked"])
    is_clicked = _CLICKED.get(str(clicked).strip().lower()) if isinstance(clicked, bool | int | str) else None
    if is_clicked is None:
        raise SourceError(f"{where}: clicked is {found(clicked)}; expected true, false, 1 or 0")
    time = _time(values.get("time"), where) if timed else None
    if timed and time is None:
        raise SourceError(f"{where}: time is missing; split.by_time needs one in every line")
    return Impression(
        query=text_of("query", values["query"], where),
        shown=row_key(parse_key(text_of("shown", values["shown"], where), key, where)),
        position=_position(values["position"], where),
        clicked=is_clicked,
        session="" if values.get("session") is None else text_of("session", values["session"], where),
        time=time,
    )


def _position(value: object, where: str) -> int:
    value = plain(value)
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
    except ValueError:
        number = None
    if number is None or not 1 <= number <= _DEEPEST or number != int(number):
        raise SourceError(f"{where}: position is {found(value)}; expected a whole number from 1 to {_DEEPEST}")
    return int(number)


def _time(value: object, where: str) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        time = convert(value, "datetime")
    except WrongValue as error:
        raise SourceError(f"{where}: time: {error}") from None
    assert isinstance(time, datetime)
    return time
