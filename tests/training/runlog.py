"""A RunLog that remembers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class MemoryLog:
    """Implements records.RunLog."""

    def __init__(self) -> None:
        self.logged_params: dict[str, str | int | float | bool] = {}
        self.logged_metrics: list[tuple[int, dict[str, float]]] = []
        self.artifacts: list[tuple[str, str]] = []
        self.logged_tags: dict[str, str] = {}

    def params(self, values: Mapping[str, str | int | float | bool]) -> None:
        self.logged_params.update(values)

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        self.logged_metrics.append((step, dict(values)))

    def artifact(self, path: Path, *, folder: str = "") -> None:
        assert path.is_file()
        self.artifacts.append((folder, path.name))

    def tags(self, values: Mapping[str, str]) -> None:
        self.logged_tags.update(values)

    def series(self, name: str) -> list[tuple[int, float]]:
        """All values of one metric with their steps."""
        return [(step, values[name]) for step, values in self.logged_metrics if name in values]
