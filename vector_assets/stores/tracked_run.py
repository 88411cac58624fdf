"""One run of MLflow, written to while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """One MLflow run; implements records.RunLog. Numbers of one step go out in one request."""

    client: MlflowClient
    run_id: str
    experiment_id: str

    def params(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Log parameters once."""
        from mlflow.entities import Param

        self.client.log_batch(self.run_id, params=[Param(key, str(value)[:6000]) for key, value in values.items()])

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Log numbers of one step."""
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(key, value, now, step) for key, value in values.items()])

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep a file, or a folder with all it holds, with the run."""
        if path.is_dir():
            self.client.log_artifacts(self.run_id, str(path), artifact_path=folder or path.name)
        else:
            self.client.log_artifact(self.run_id, str(path), artifact_path=folder or None)

    def tags(self, values: Mapping[str, str]) -> None:
        """Label the run."""
        from mlflow.entities import RunTag

        self.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in values.items()])
