"""A space that searches, through its assets: what MLflow, Dagster and the stores say of it, and what is reused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from materialized import TO_LIVE, ProjectRuns, mlflow_runs, project_runs
from project import write_project

from vector_assets.stores.training import settle_encoder
from vector_assets.stores.workspace import Workspace
from vector_assets.training.session import Session

SEARCH = "\n        search: {trials: 4, learning_rate: [0.002, 0.01], batch_size: [8, 16], pruner: none}"


def _project(folder: Path, name: str, model: Path, *, search: str = SEARCH, layer: str = "") -> Path:
    folder = write_project(folder, name, model)
    text = (folder / "defs.yaml").read_text().replace("learning_rate: 0.001", f"learning_rate: 0.0001{search}")
    (folder / "defs.yaml").write_text(text.replace("      train:", f"{layer}      train:"))
    return folder


@pytest.fixture(scope="module")
def searched(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = _project(tmp_path_factory.mktemp("searched"), "searched", tiny_model)
    update, rates = Session.update, dict[float, int]()

    def third_fails(self: Session, *given: Any) -> float:
        if rates.setdefault(self.training.learning_rate, len(rates)) == 2:
            raise MemoryError("too many at once")
        return update(self, *given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "update", third_fails)
        with project_runs(workspace, folder, "raw", "training_set", "encoder") as found:
            yield found


def _runs(workspace: Workspace, experiment: str) -> tuple[Any, dict[str, Any]]:
    """The parent, and its children by name, the newest of a name."""
    runs = mlflow_runs(workspace, experiment)
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert len(children) == len(runs) - 1
    return parent, {run.info.run_name: run for run in reversed(children)}


def test_dagster_tells_of_the_search(searched: ProjectRuns) -> None:
    said = searched.first.metadata["encoder"]
    assert said["search_trials"] == 4 and said["trained_now"] is True
    assert "learning_rate" in str(said["search_best"]) and said["best_over_declared_on_validation"] >= 0  # type: ignore[operator]
    rows = said["search_table"].records  # type: ignore[attr-defined]
    assert [row.data["trial"] for row in rows] == [0, 1, 2, 3] and rows[0].data["learning_rate"] == "0.0001"
    against = {row.data["what"]: row.data["value"] for row in said["best_over_declared_on_test"].records}  # type: ignore[attr-defined]
    assert {"mrr@10, declared", "mrr@10, best", "95 % interval", "p"} <= set(against)
    assert str(said["search"]).startswith("![search](data:image/png;base64,")


def test_mlflow_has_the_trials_below_one_parent_and_one_registered_model(
    searched: ProjectRuns, workspace: Workspace
) -> None:
    parent, children = _runs(workspace, "searched/text")
    assert parent.info.run_name.startswith("search ") and parent.info.status == "FINISHED"
    assert set(children) == {"base (run 0)", "trial 0 (declared settings)", "trial 1", "trial 2", "trial 3"}
    client = workspace.tracking._client()
    for name, run in children.items():
        if name == "base (run 0)":
            continue
        assert not [metric for metric in run.data.metrics if metric.startswith("test")]
        if name == "trial 2":
            assert run.info.status == "FAILED" and run.data.tags["error"] == "MemoryError: too many at once"
            assert "validation_best/mrr_at_10" not in run.data.metrics
        else:
            assert run.info.status == "FINISHED" and run.data.metrics["validation_best/mrr_at_10"] > 0
    assert parent.data.params["trials_failed"] == "1" and searched.first.metadata["encoder"]["search_failed"] == 1
    assert {"test/mrr_at_10", "search/best", "declared_test/mrr_at_10"} <= set(parent.data.metrics)
    assert float(parent.data.params["best_learning_rate"]) >= 0.002
    names = {Path(one.path).name for one in client.list_artifacts(parent.info.run_id, "search")}
    assert names == {"search.png", "trials.csv"}
    versions = client.search_model_versions("name='searched.text'")
    settled = {parent.info.run_id, children["base (run 0)"].info.run_id}
    assert {version.run_id for version in versions} == settled and len(versions) == 2, "no trial's own is registered"
    unfinished = workspace.checkpoint_folder / ".unfinished"
    assert not list(unfinished.glob("*.search"))


def test_a_second_run_and_the_best_settings_written_down_train_nothing(searched: ProjectRuns) -> None:
    again = searched.run("encoder")
    assert again.metadata["encoder"]["trained_now"] is False and again.metadata["encoder"]["search_trials"] == 4
    best = dict(one.split(" ") for one in str(again.metadata["encoder"]["search_best"]).split(", "))
    text = (searched.folder / "defs.yaml").read_text().replace(SEARCH, "")
    text = text.replace("batch_size: 16", f"batch_size: {best['batch_size']}")
    (searched.folder / "defs.yaml").write_text(text.replace(": 0.0001", f": {best['learning_rate']}"))
    searched.reload()
    plain = searched.run("encoder")
    assert plain.metadata["encoder"]["trained_now"] is False and plain.versions == again.versions
    assert "search_trials" not in plain.metadata["encoder"]


def test_a_search_goes_on_below_its_parent_after_a_kill(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = SEARCH.replace("trials: 4", "trials: 3")
    folder = _project(tmp_path, "torn", tiny_model, search=search)
    with project_runs(workspace, folder, "raw", "training_set") as torn_project:
        collection = torn_project.collection
    update, count = Session.update, [0]

    def torn(self: Session, *given: Any) -> float:
        count[0] += 1
        if count[0] == 10:  # within trial 1
            raise KeyboardInterrupt
        return update(self, *given)

    monkeypatch.setattr(Session, "update", torn)
    with pytest.raises(KeyboardInterrupt):
        settle_encoder(workspace, collection, "text", tags={})
    torn_parent, torn_children = _runs(workspace, "torn/text")
    settled = settle_encoder(workspace, collection, "text", tags={})
    parent, children = _runs(workspace, "torn/text")
    assert settled.searched and len(settled.searched["trials"]) == 3
    assert parent.info.run_id == torn_parent.info.run_id and parent.info.status == "FINISHED"
    for name in ("base (run 0)", "trial 0 (declared settings)"):
        assert children[name].info.run_id == torn_children[name].info.run_id
    assert len(children) == 4 and children["trial 1"].info.run_id != torn_children["trial 1"].info.run_id


def test_layers_are_swept_and_the_checkpoint_says_which(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _project(tmp_path, "swept", tiny_model, search="\n        search: {layer: [1, 2, 3, mix]}")
    text = (folder / "defs.yaml").read_text().replace("        trainable: last_1\n", "")
    (folder / "defs.yaml").write_text(text)
    with project_runs(workspace, folder, *TO_LIVE) as project:
        found = project.first
    said = found.metadata["encoder"]
    assert found.success and said["search_trials"] == 4
    chosen = workspace.checkpoints.get(found.versions["encoder"])
    best = str(said["search_best"]).removeprefix("layer ")
    assert str(chosen.contract["layer"]) == ("-1" if best == "the untrained base" else best)


def test_a_declared_layer_goes_through_all_stages(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _project(tmp_path, "layered", tiny_model, search="", layer="      layer: -2\n")
    with project_runs(workspace, folder, *TO_LIVE) as project:
        found = project.first
    assert found.success and workspace.checkpoints.get(found.versions["encoder"]).contract["layer"] == 2
