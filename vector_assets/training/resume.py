"""Going on after a kill: all that decides the rest of a run, in one file that is always whole.

Weights, the optimiser's moments, both random generators, the place in the epoch, every number seen so far. A run that
goes on from it ends with the same weights, bit for bit, as one that was never interrupted (on the same machine with the
same libraries: another version of torch starts anew).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: Changed by hand when the content changes its meaning; a file of another form is not read.
FORM = 2


class Resume:
    """The file of one training key. ``seconds`` pass at least between two writes: a kill loses no more."""

    def __init__(self, path: Path, key: str, *, seconds: float = 20.0) -> None:
        self._path, self._key, self._seconds = path, key, seconds
        self._written = time.monotonic()

    def load(self) -> Mapping[str, Any] | None:
        """Return what was saved under this key with these libraries; None when there is nothing of use."""
        import pickle

        import torch

        try:
            state: dict[str, Any] = torch.load(self._path, weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):  # absent, or from a disk that lost power
            return None
        return state if state.get("of") == self._of() else None

    @property
    def is_due(self) -> bool:
        """It is time to save."""
        return time.monotonic() - self._written >= self._seconds

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the file in one step."""
        import torch

        self._path.parent.mkdir(parents=True, exist_ok=True)
        working = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with working.open("wb") as file:
            torch.save({**state, "of": self._of()}, file)
            file.flush()
            os.fsync(file.fileno())
        working.replace(self._path)
        self._written = time.monotonic()

    def clear(self) -> None:
        """Remove the file, and what killed writers left beside it."""
        for path in self._path.parent.glob(f"{self._path.name}*"):
            path.unlink(missing_ok=True)

    def _of(self) -> str:
        import torch

        return f"{FORM} {torch.__version__} {self._key}"
