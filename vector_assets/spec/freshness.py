"""Durations as people write them, for how long a row may wait for its vector."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

_DURATION = re.compile(r"([1-9][0-9]{0,5})(s|m|h|d)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _is_duration(value: str) -> str:
    if not _DURATION.fullmatch(value):
        raise ValueError("must be a whole number with its unit, such as 30s, 15m, 2h or 1d")
    return value


def as_timedelta(duration: str) -> timedelta:
    """Return a duration as a time difference."""
    found = _DURATION.fullmatch(duration)
    assert found is not None
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])


Duration = Annotated[str, AfterValidator(_is_duration)]
