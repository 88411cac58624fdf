"""The list of a model's modules, as sentence-transformers writes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vector_assets.encoder.contract import modules_of

#: What the library's own modules are called by.
MODULE = "sentence_transformers.models."


def listed_modules(folder: Path, width: int) -> list[Mapping[str, Any]]:
    """Return the modules of a folder; one of transformers gets those that the library makes of it: a mean of tokens.

    ``width`` is that of its token vectors.
    """
    found = modules_of(folder)
    if found:
        return list(found)
    (folder / "2_Pooling").mkdir()
    write_json(
        folder / "2_Pooling" / "config.json", {"pooling_mode_mean_tokens": True, "word_embedding_dimension": width}
    )
    return [{"path": "", "type": MODULE + "Transformer"}, {"path": "2_Pooling", "type": MODULE + "Pooling"}]


def write_modules(folder: Path, modules: Sequence[Mapping[str, Any]]) -> None:
    """Write the list, numbered in this order."""
    numbered = [{**module, "idx": place, "name": str(place)} for place, module in enumerate(modules)]
    write_json(folder / "modules.json", numbered)


def write_json(path: Path, value: object) -> None:
    """Write JSON in one form, so that equal values are equal bytes."""
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
