"""A declared learning curve as an asset: what Dagster and MLflow show, what is reused, what a kill leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from materialized import ProjectRuns, project_runs
from project import write_project

from vector_assets.assets import resources
from vector_assets.assets.build import build_definitions
from vector_assets.assets.graph import render_graph
from vector_assets.assets.keys import STAGES, stage_keys
from vector_assets.errors import NotFound
from vector_assets.spec.load import load_collection
from vector_assets.stores.learning_curves import settle_curve
from vector_assets.stores.workspace import Workspace
from vector_assets.training.session import Session

CURVE = "\n        curve: {rows: [8, 24], learning_rates: {scratch: 0.005}}\n        max_gap: 0.001"


def _project(folder: Path, name: str, model: Path, curve: str = CURVE) -> Path:
    folder = write_project(folder, name, model)
    text = (folder / "defs.yaml").read_text().replace("learning_rate: 0.001", f"learning_rate: 0.001{curve}")
    (folder / "defs.yaml").write_text(text)
    return folder


@pytest.fixture(scope="module")
def curved(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = _project(tmp_path_factory.mktemp("curved"), "curved", tiny_model)
    with project_runs(workspace, folder, "raw", "training_set", "learning_curve") as found:
        yield found


def _runs(workspace: Workspace, experiment: str) -> tuple[Any, dict[str, Any]]:
    client = workspace.tracking._client()
    found = client.get_experiment_by_name(experiment)
    assert found
    runs = client.search_runs([found.experiment_id])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    return parent, {run.info.run_name: run for run in reversed(runs) if run is not parent}


def test_dagster_shows_the_picture_the_table_and_the_warning(curved: ProjectRuns) -> None:
    said = curved.first.metadata["learning_curve"]
    assert str(said["learning_curve"]).startswith("![learning_curve](data:image/png;base64,")
    rows = [row.data for row in said["curve"].records]  # type: ignore[attr-defined]
    assert [(row["start"], row["rows"]) for row in rows] == [
        (start, count) for start in ("pretrained", "scratch") for count in (8, 24)
    ]
    wide = [row for row in rows if row["gap"] > 0]
    assert bool(wide) == ("warning" in said) and (not wide or "too little data" in str(said["warning"]))
    assert said["points"] == 4 and said["measured_now"] is True and "/runs/" in str(said["mlflow_run"])


def test_mlflow_has_the_points_below_one_parent_with_the_curve_as_numbers_by_rows(
    curved: ProjectRuns, workspace: Workspace
) -> None:
    parent, children = _runs(workspace, "curved/text")
    assert parent.info.run_name.startswith("learning curve ") and parent.info.status == "FINISHED"
    assert set(children) == {f"{start} {rows} rows" for start in ("pretrained", "scratch") for rows in (8, 24)}
    assert {run.info.status for run in children.values()} == {"FINISHED"}
    assert children["scratch 8 rows"].data.params["learning_rate"] == "0.005"
    client = workspace.tracking._client()
    series = client.get_metric_history(parent.info.run_id, "curve_scratch/validation")
    assert [point.step for point in series] == [8, 24]
    names = {Path(one.path).name for one in client.list_artifacts(parent.info.run_id, "curve")}
    assert names == {"learning_curve.png", "learning_curve.csv"}


def test_no_checkpoint_is_registered_or_left(curved: ProjectRuns, workspace: Workspace) -> None:
    assert not list(workspace.tracking._client().search_model_versions("name='curved.text'"))
    assert workspace.checkpoints.encoder("curved", "text") is None
    assert not list((workspace.checkpoint_folder / ".unfinished").glob("*"))
    with workspace.database.connect() as connection:
        asked = workspace.database.compose("select count(*) from {ops}.trainings where collection = 'curved'")
        assert connection.execute(asked).fetchone() == (0,)


def test_a_second_run_trains_nothing(curved: ProjectRuns, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "update", lambda *_: pytest.fail("it learned again"))
    again = curved.run("learning_curve")
    assert again.metadata["learning_curve"]["measured_now"] is False and again.versions == {
        "learning_curve": curved.first.versions["learning_curve"]
    }
    assert again.metadata["learning_curve"]["curve"] == curved.first.metadata["learning_curve"]["curve"]


def test_it_runs_only_when_it_is_asked_for(curved: ProjectRuns) -> None:
    assert "learning_curve" not in STAGES and stage_keys(curved.collection, "learning_curve") == [
        dg.AssetKey(["learning_curve", "curved", "text"])
    ]
    lines = render_graph(build_definitions(curved.collection)).splitlines()
    (place,) = [number for number, line in enumerate(lines) if line.startswith("learning_curve/")]
    assert lines[place] == "learning_curve/curved/text <- training_set/curved/text"
    assert "runs when" not in lines[place + 2]
    started = [line for line in lines if line.startswith(("sensor ", "schedule "))]
    assert len(started) >= 3 and not [line for line in started if "learning_curve" in line]
    undeclared = load_collection(curved.folder / "defs.yaml").model_copy(update={"name": "plain"})
    space = undeclared.spaces["text"]
    assert space.train
    plain = space.model_copy(update={"train": space.train.model_copy(update={"curve": None})})
    undeclared = undeclared.model_copy(update={"spaces": {"text": plain}})
    assert stage_keys(undeclared, "learning_curve") == []
    assert "learning_curve" not in render_graph(build_definitions(undeclared))


def test_a_killed_curve_goes_on_below_its_parent(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _project(tmp_path, "torncurve", tiny_model, CURVE.replace("24", "20"))  # else it is known already
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)
    collection = load_collection(folder / "defs.yaml")
    with pytest.raises(NotFound, match="is not drawn yet"):
        settle_curve(workspace, collection, "text", tags={})
    with dg.DagsterInstance.ephemeral() as instance:
        ProjectRuns(folder, collection, instance).run("raw", "training_set")
    update, count = Session.update, [0]

    def torn(self: Session, *given: Any) -> float:
        count[0] += 1
        if count[0] == 6:  # two steps a point
            raise KeyboardInterrupt
        return update(self, *given)

    monkeypatch.setattr(Session, "update", torn)
    with pytest.raises(KeyboardInterrupt):
        settle_curve(workspace, collection, "text", tags={})
    torn_parent, torn_children = _runs(workspace, "torncurve/text")
    assert torn_parent.info.status == "KILLED" and torn_children["scratch 8 rows"].info.status == "KILLED"
    settled = settle_curve(workspace, collection, "text", tags={})
    parent, children = _runs(workspace, "torncurve/text")
    assert parent.info.run_id == torn_parent.info.run_id == settled.run_id and parent.info.status == "FINISHED"
    assert len(settled.found.points) == 4 and count[0] == 6 + 4, "two points, and no step of those that had ended"
    for name in ("pretrained 8 rows", "pretrained 20 rows"):
        assert children[name].info.run_id == torn_children[name].info.run_id
