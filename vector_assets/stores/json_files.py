"""A JSON object in a file, whole or not there: for results that are kept beside the database."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read_json(path: Path) -> dict[str, Any]:
    """Return a stored object; an empty one where there is none, or half a one."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: Mapping[str, object]) -> None:
    """Write an object beside its place and move it there, so that whoever reads sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    working = path.with_name(f".{path.name}.{os.getpid()}")
    working.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    working.replace(path)
