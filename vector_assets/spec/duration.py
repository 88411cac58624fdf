"""Lengths of time as people write them: 30s, 15m, 2h, 7d."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def _is_duration(value: str) -> str:
    if not re.fullmatch(r"[1-9][0-9]{0,5}[smhd]", value):
        raise ValueError("must be a whole number with s, m, h or d, such as 15m")
    return value


Duration = Annotated[str, AfterValidator(_is_duration)]


def to_timedelta(value: str) -> timedelta:
    """Return a declared duration as a timedelta."""
    return timedelta(seconds=int(value[:-1]) * _UNITS[value[-1]])
