"""Installed distributions and their Python files, found without importing any of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Literal

from vector_assets.errors import SourceError


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """One Python file of a distribution: its dotted module name, its path, its size when known."""

    module: str
    path: str
    size: int

    @property
    def is_test(self) -> bool:
        """A module of tests, by the names that pytest and unittest look for."""
        names = ("tests", "testing", "conftest")
        return any(part in names or part.startswith("test_") for part in self.module.split("."))


@dataclass(frozen=True, slots=True)
class Installed:
    """One installed distribution by its normalised name."""

    name: str
    metadata: metadata.Distribution

    def modules(self) -> tuple[ModuleFile, ...]:
        """Return its .py files sorted by path, one per module name; a package hides a module of the same name."""
        found: dict[str, ModuleFile] = {}
        for file in sorted(self.metadata.files or (), key=lambda file: (file.name != "__init__.py", file.as_posix())):
            module = _module(file)
            if module:
                path = str(self.metadata.locate_file(file))
                found.setdefault(module, ModuleFile(module=module, path=path, size=file.size or 0))
        return tuple(sorted(found.values(), key=lambda file: file.path))

    def stamp(self) -> tuple[str, str, str]:
        """Return what changes when it is installed anew: name, version, digest of RECORD (or of sizes and times)."""
        record = self.metadata.read_text("RECORD") or json.dumps(list(self._times()))
        return self.name, self.metadata.version, hashlib.sha256(record.encode()).hexdigest()

    def _times(self) -> Iterator[tuple[str, int, int]]:
        for file in self.modules():
            try:
                status = Path(file.path).stat()
            except OSError:
                continue
            yield file.path, status.st_size, status.st_mtime_ns


def find_installed(names: Sequence[str] | Literal["*"]) -> tuple[Installed, ...]:
    """Return the named distributions, or all for ``"*"``, sorted by name. Raises SourceError for an unknown one."""
    if names == "*":
        every: dict[str, Installed] = {}
        for found in metadata.distributions():
            name = found.metadata["Name"]
            if name:
                # The first on sys.path is the one that an import would take.
                every.setdefault(normalised(name), Installed(normalised(name), found))
        return tuple(every[name] for name in sorted(every))
    return tuple(_find(name) for name in sorted({normalised(name) for name in names}))


def normalised(name: str) -> str:
    """Return a distribution's name as PyPI compares it: ``Scikit_Learn`` is ``scikit-learn``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _find(name: str) -> Installed:
    try:
        return Installed(name, metadata.distribution(name))
    except (metadata.PackageNotFoundError, ValueError):
        raise SourceError(f'distribution {name!r} is not installed; expected a name of pip list or "*"') from None


def _module(file: PurePosixPath) -> str | None:
    if file.suffix != ".py" or file.is_absolute() or ".." in file.parts:
        return None
    parts = file.parts[:-1] if file.name == "__init__.py" else (*file.parts[:-1], file.stem)
    return ".".join(parts) or None
