"""Canaries as stored beside a checkpoint's files. They are no part of its digest: they describe it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vector_assets.errors import EncoderError
from vector_assets.records import Canary

CANARIES_FILE = "canaries.json"

_CANARIES = TypeAdapter(tuple[Canary, ...])


def read_canaries(folder: Path) -> tuple[Canary, ...]:
    """Return the stored canaries; none when there is no file. Raises EncoderError when the file is not readable."""
    path = folder / CANARIES_FILE
    if not path.is_file():
        return ()
    try:
        return _CANARIES.validate_json(path.read_bytes())
    except ValidationError as error:
        raise EncoderError(f"{path}: not readable as canaries: {error.errors()[0]['msg']}") from None


def write_canaries(folder: Path, canaries: Sequence[Canary]) -> None:
    """Write canaries with every digit of their float32 vectors."""
    values = [{"role": canary.role, "text": canary.text, "vector": list(canary.vector)} for canary in canaries]
    (folder / CANARIES_FILE).write_text(json.dumps(values, ensure_ascii=False), encoding="utf-8")
