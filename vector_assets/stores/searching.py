"""A search in MLflow: its trials below one parent, which a search that goes on after a kill finds again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from vector_assets.stores.json_files import read_json, write_json
from vector_assets.stores.mlflow_runs import Tracking
from vector_assets.stores.tracked_run import TrackedRun

_FILE = "runs.json"


class SearchRuns:
    """The runs of one search. Their ids stand in ``folder``, beside what the search itself keeps."""

    def __init__(self, tracking: Tracking, experiment: str, tags: Mapping[str, str], folder: Path) -> None:
        """Read the ids of a search that was killed, if it was."""
        self._tracking, self._experiment, self._tags, self._path = tracking, experiment, tags, folder / _FILE
        self._ids: dict[str, str] = read_json(self._path)  # none yet, or after a disk lost power: new runs then

    def new(
        self, name: str, *, tags: Mapping[str, str], parent: TrackedRun | None = None
    ) -> AbstractContextManager[TrackedRun]:
        """Open a run as it is opened without a search."""
        return self._tracking.run(self._experiment, name, tags=tags, parent=parent)

    @contextmanager
    def kept(self, name: str, *, tags: Mapping[str, str], parent: TrackedRun | None = None) -> Iterator[TrackedRun]:
        """Open a run, the same after a kill."""
        with self._tracking.run(
            self._experiment, name, tags=tags, parent=parent, again=self._ids.get(name)
        ) as run:  # fmt: skip
            self._remember(name, run.run_id)
            yield run

    @contextmanager
    def trial(self, number: int, name: str, *, parent: TrackedRun) -> Iterator[TrackedRun]:
        """Open a trial's run; one that a kill left open is ended, since the new one shows the whole curve."""
        left = self._ids.get("trial")
        if left:
            self._tracking.end_killed(left)
        with self._tracking.run(
            self._experiment, name, tags={**self._tags, "trial": str(number)}, parent=parent
        ) as run:
            self._remember("trial", run.run_id)
            try:
                yield run
            except Exception:  # the trial's own fault: its run ends as failed, and is not left open
                self._remember("trial", "")
                raise
        self._remember("trial", "")

    def _remember(self, name: str, run_id: str) -> None:
        self._ids[name] = run_id
        write_json(self._path, self._ids)
