"""What a curve has measured so far, in a file of its own, so that a killed one does not begin again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from vector_assets.spec import Start
from vector_assets.training.curve.points import Point

_FILE = "points.json"


class Kept:
    """The points that ended, and which starts compute in bfloat16."""

    def __init__(self, folder: Path) -> None:
        """Read what is in ``folder``; a file that a lost disk left torn is as none."""
        self._path = folder / _FILE
        self.metric = ""
        self.points: list[Point] = []
        self.fast: dict[Start, bool] = {}
        try:
            read = json.loads(self._path.read_text(encoding="utf-8"))
            self.points = [Point(**one) for one in read["points"]]
            self.metric, self.fast = str(read["metric"]), read["fast"]
        except (OSError, ValueError, KeyError, TypeError):
            self.points = []

    def add(self, metric: str, point: Point) -> None:
        """Keep a point."""
        self.metric = metric
        self.points.append(point)
        self._write()

    def remember(self, start: Start, fast: bool) -> None:
        """Keep how a start computes: all its points, before and after a kill, do alike."""
        self.fast[start] = fast
        self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        told = {"metric": self.metric, "fast": self.fast, "points": [asdict(one) for one in self.points]}
        working = self._path.with_suffix(".new")
        working.write_text(json.dumps(told), encoding="utf-8")
        working.replace(self._path)
