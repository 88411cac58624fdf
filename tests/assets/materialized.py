"""A project on disk through its assets: what a run said of each stage, and what MLflow was told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from vector_assets.assets import resources
from vector_assets.assets.build import build_definitions
from vector_assets.spec import Collection
from vector_assets.spec.load import load_collection
from vector_assets.stores.workspace import Workspace

#: What makes a collection searchable, in order.
TO_LIVE = ("raw", "training_set", "encoder", "embeddings", "candidate", "index")


@dataclass
class Materialized:
    """What one run said of each stage."""

    success: bool
    metadata: dict[str, dict[str, object]]
    versions: dict[str, str]
    checks: dict[str, bool]


@dataclass
class ProjectRuns:
    """One project and its instance. ``first`` is what its first run said."""

    folder: Path
    collection: Collection
    instance: dg.DagsterInstance
    first: Materialized = field(init=False)

    def run(self, *stages: str, config: dict[str, object] | None = None, raises: bool = True) -> Materialized:
        """Materialize some stages, or all."""
        defs = build_definitions(self.collection)
        job = defs.get_repository_def().get_implicit_global_asset_job_def()
        keys = [key for key in job.asset_layer.executable_asset_keys if not stages or key.path[0] in stages]
        result = job.execute_in_process(
            run_config=config or {}, instance=self.instance, asset_selection=keys, raise_on_error=raises
        )
        done = Materialized(result.success, {}, {}, {})
        for event in result.get_asset_materialization_events():
            found = event.step_materialization_data.materialization
            stage = found.asset_key.path[0]
            done.metadata[stage] = {name: value.value for name, value in found.metadata.items()}
            done.versions[stage] = (found.tags or {})["dagster/data_version"]
        for check in result.get_asset_check_evaluations():
            done.checks[check.check_name] = check.passed
        return done

    def reload(self) -> None:
        """Read the declaration again."""
        self.collection = load_collection(self.folder / "defs.yaml")


@contextmanager
def project_runs(workspace: Workspace, folder: Path, *stages: str) -> Iterator[ProjectRuns]:
    """Yield a project after its first run, in an instance of its own that uses the tests' stores."""
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setattr(resources, "_workspace", lambda: workspace)
        found = ProjectRuns(folder, load_collection(folder / "defs.yaml"), instance)
        found.first = found.run(*stages)
        yield found


def mlflow_runs(workspace: Workspace, experiment: str) -> list[Any]:
    """Return the runs of an experiment, the newest first."""
    client = workspace.tracking._client()
    found = client.get_experiment_by_name(experiment)
    assert found
    return list(client.search_runs([found.experiment_id]))


def training_run(workspace: Workspace, experiment: str) -> Any:
    """Return the newest run that learned something."""
    return next(run for run in mlflow_runs(workspace, experiment) if run.info.run_name.startswith("train"))
