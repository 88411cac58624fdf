"""Vector compute for Postgres: tables in, encoders trained, vectors kept true to rows, searched and measured.

Public names are loaded on first use, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vector_assets.api import connect
    from vector_assets.assets.build import build_definitions
    from vector_assets.assets.component import CollectionComponent
    from vector_assets.index.export_reader import read_export
    from vector_assets.spec import Collection

__all__ = ["Collection", "CollectionComponent", "build_definitions", "connect", "read_export"]
_HOMES = {
    "Collection": "vector_assets.spec",
    "CollectionComponent": "vector_assets.assets.component",
    "build_definitions": "vector_assets.assets.build",
    "connect": "vector_assets.api",
    "read_export": "vector_assets.index.export_reader",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module vector_assets has no attribute {name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
