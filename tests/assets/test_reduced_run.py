"""Dims that are learned from the rows, through all assets, as YAML declares them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from materialized import TO_LIVE, ProjectRuns, mlflow_runs, project_runs, training_run
from project import change_rows, declare_training, write_project
from sentence_transformers import SentenceTransformer

from vector_assets.errors import SpecError
from vector_assets.spec.load import load_collection
from vector_assets.stores.planning import plan
from vector_assets.stores.training import settle_encoder
from vector_assets.stores.training_sets import draw_training_set
from vector_assets.stores.workspace import Workspace

TRAIN = """
      dims: %d
      train:
        objective: pca
        split: {by: group, validation: [g7, g8], test: [g9]}"""
DIMS = 12


@pytest.fixture(scope="module")
def shorter(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = write_project(tmp_path_factory.mktemp("reduced"), "shorter", tiny_model)
    change_rows(folder, lambda number, row: row | {"text": f"{row['text']} g{number % 29} h{number % 23}"})
    declare_training(folder, TRAIN % DIMS)
    with project_runs(workspace, folder, *TO_LIVE) as found:
        yield found


def test_all_stages_go_by_the_learned_dims(shorter: ProjectRuns, workspace: Workspace) -> None:
    first = shorter.first
    assert first.success
    encoder = first.metadata["encoder"]
    assert encoder["trained_now"] is True
    assert encoder["test_recall@10"] > encoder["base_test_recall@10"]  # type: ignore[operator]
    assert encoder["explained_variance"] > encoder["base_explained_variance"]  # type: ignore[operator]
    assert {"reduction", "variance"} <= set(encoder), "the picture and the table"
    assert first.metadata["embeddings"]["dims"] == DIMS and first.metadata["index"]["action"] == "promoted"
    assert all(first.checks[name] for name in ("dims_and_norm", "canaries", "recall"))
    run = training_run(workspace, "shorter/text")
    metrics = run.data.metrics
    assert metrics["test/explained_variance"] == pytest.approx(encoder["explained_variance"], abs=1e-6)
    assert metrics["validation_best/recall_at_10"] >= metrics["validation/recall_at_10"] - 1e-9
    base = next(run for run in mlflow_runs(workspace, "shorter/text") if run.info.run_name.startswith("base"))
    assert base.data.metrics["test/recall_at_10"] == pytest.approx(encoder["base_test_recall@10"], abs=1e-6)
    stored = workspace.checkpoints.get(first.versions["encoder"])
    assert SentenceTransformer(str(stored.folder), device="cpu").encode(["b1 d1"]).shape == (1, DIMS)


def test_a_known_reduction_is_not_computed_again(shorter: ProjectRuns, workspace: Workspace) -> None:
    count = len(mlflow_runs(workspace, "shorter/text"))
    again = shorter.run("training_set", "encoder")
    assert again.metadata["training_set"]["drawn"] is False and again.metadata["encoder"]["trained_now"] is False
    assert again.versions["encoder"] == shorter.first.versions["encoder"]
    assert again.metadata["encoder"]["explained_variance"] == shorter.first.metadata["encoder"]["explained_variance"]
    assert len(mlflow_runs(workspace, "shorter/text")) == count


def test_search_and_plan_answer_in_the_learned_dims(shorter: ProjectRuns, workspace: Workspace) -> None:
    engine = workspace.search("shorter")
    row = json.loads((shorter.folder / "rows.jsonl").read_text().splitlines()[33])
    hit = engine.search(row["text"], k=3).hits[0]
    assert (hit.id, hit.score) == ("r033", pytest.approx(1, abs=1e-3))
    assert f"vectors of {DIMS} dimensions (which float32 holds)" in str(plan(workspace, shorter.collection).index)


def test_as_many_dims_as_the_encoder_has_are_refused(shorter: ProjectRuns, workspace: Workspace) -> None:
    declare_training(shorter.folder, TRAIN % 32)
    collection = load_collection(shorter.folder / "defs.yaml")
    draw_training_set(workspace, collection, "text", refresh=False)
    with pytest.raises(SpecError, match=r"dims: found 32; train\.objective: pca makes fewer of the encoder's 32"):
        settle_encoder(workspace, collection, "text", tags={})
