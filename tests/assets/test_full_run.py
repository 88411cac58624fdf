"""A small project through all its assets: real Postgres, real MLflow, a tiny model that is really trained."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from materialized import ProjectRuns, mlflow_runs, project_runs
from project import ROWS, write_project, write_rows

from vector_assets import read_export
from vector_assets.assets.keys import STAGES as ALL_STAGES
from vector_assets.errors import CanaryMismatch, ContractMismatch
from vector_assets.spec.load import load_collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.mlflow_runs import PROCESS
from vector_assets.stores.workspace import Workspace, checked_encoder

#: This project declares no scores.
STAGES = tuple(stage for stage in ALL_STAGES if stage != "scores")


@pytest.fixture(scope="module")
def papers(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = write_project(
        tmp_path_factory.mktemp("project"), "papers", tiny_model, extra="  export: {url: exported}\n  freshness: 1d\n"
    )
    with project_runs(workspace, folder) as papers:
        yield papers


def test_all_assets_are_made_and_say_what_people_want_to_know(papers: ProjectRuns) -> None:
    first = papers.first
    assert first.success
    assert sorted(first.metadata) == sorted(STAGES)
    assert first.checks == {
        "coverage": True,
        "dims_and_norm": True,
        "canaries": True,
        "recall": True,
        "quality": True,
        "freshness": True,
    }
    raw, pairs, encoder, embeddings, candidate, index, map_, export = (first.metadata[stage] for stage in STAGES)
    assert (raw["dagster/row_count"], raw["inserted"], raw["unreadable"]) == (ROWS, ROWS, 0)
    assert raw["dagster/table_name"] == '"raw"."papers"'
    assert {"dagster/row_count", "train", "validation", "test", "digest", "examples"} <= set(pairs) | {
        "train", "validation", "test"
    }  # fmt: skip
    assert encoder["trained_now"] is True
    assert {"checkpoint", "contract", "tuned_against_base", "test_mrr@10", "mlflow_run", "curves", "seconds"} <= set(
        encoder
    )
    assert (embeddings["dagster/row_count"], embeddings["encoded"], embeddings["failed"]) == (ROWS, ROWS, 0)
    assert (embeddings["dims"], embeddings["generation"]) == (32, 1)
    assert candidate["decision"] == "promote"
    assert candidate["recall@10"] == 1.0
    assert {"index_bytes", "search_mrr@10", "recall", "reason"} <= set(candidate)
    assert (index["generation"], index["action"]) == (1, "promoted")
    assert str(map_["map"]).startswith("![papers_g1](data:image/png;base64,")
    assert (map_["points"], map_["coloured_by"]) == (ROWS, "group")
    assert (export["dagster/row_count"], export["files"], export["written"]) == (ROWS, 1, True)
    assert export["url"] == str(papers.folder / "exported")
    exported = read_export(str(papers.folder / "exported"))
    assert exported.head["layout"][0]["checkpoint"] == first.versions["encoder"]
    assert len(exported.read()) == ROWS


def test_the_training_is_in_mlflow_and_the_live_one_is_champion(papers: ProjectRuns, workspace: Workspace) -> None:
    runs = mlflow_runs(workspace, "papers/text")
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.info.run_name.split()[0] for run in runs} == {"train", "base"}
    registered = workspace.checkpoints.registered(papers.first.versions["encoder"])
    assert registered.version and workspace.tracking.champion("papers.text") == registered.version
    assert workspace.tracking.aliased("papers.text", "candidate") == registered.version
    base = workspace.tracking.aliased("papers.text", "base")
    assert base and base != registered.version
    (run,) = (run for run in runs if run.info.run_id == registered.run_id)
    link = f"http://127.0.0.1:3000/runs/{run.data.tags['dagster/run_id']}"
    assert run.data.tags["dagster/run_url"] == link and link in run.data.tags["mlflow.note.content"]
    assert papers.instance.get_run_by_id(run.data.tags["dagster/run_id"]), "a run that Dagster knows"
    assert run.info.run_id in str(papers.first.metadata["encoder"]["mlflow_run"])
    splits = {one.dataset.name.rpartition(" ")[2] for one in run.inputs.dataset_inputs}
    assert splits == {"train", "validation", "test"}


def test_a_training_after_a_kill_ends_the_run_of_before_and_continues_it(
    papers: ProjectRuns, workspace: Workspace
) -> None:
    encoder = workspace.checkpoints.encoder("papers", "text")
    assert encoder and encoder.training_key
    client = workspace.tracking._client()
    experiment = client.get_experiment_by_name("papers/text")
    assert experiment
    ended = subprocess.Popen(["sleep", "100"])
    gone = json.dumps([socket.gethostname(), ended.pid, psutil.Process(ended.pid).create_time()])
    ended.kill()
    ended.wait()
    tags = {"training_key": encoder.training_key, "arm": "tuned", PROCESS: gone}
    lost = client.create_run(experiment.experiment_id, run_name="train lost", tags=tags).info.run_id
    with workspace.database.connect() as connection:  # as if it had not come to its end
        connection.execute(
            workspace.database.compose("delete from {ops}.trainings where training_key = %s"), (encoder.training_key,)
        )
    again = papers.run("encoder")
    assert (
        again.metadata["encoder"]["trained_now"] is True
        and again.versions["encoder"] == papers.first.versions["encoder"]
    )
    killed = client.get_run(lost)
    assert killed.info.status == "KILLED"
    after = client.get_run(killed.data.tags["continued_by"])
    assert (after.info.status, after.data.tags["continues"]) == ("FINISHED", lost)
    assert {run.info.status for run in mlflow_runs(workspace, "papers/text")} == {"FINISHED", "KILLED"}


def test_a_second_run_encodes_and_trains_nothing_and_has_the_same_versions(papers: ProjectRuns) -> None:
    second = papers.run()
    assert second.success
    assert second.metadata["raw"]["read"] is False
    assert second.metadata["training_set"]["drawn"] is False
    assert second.metadata["encoder"]["trained_now"] is False
    assert (second.metadata["embeddings"]["encoded"], second.metadata["embeddings"]["unchanged"]) == (0, ROWS)
    assert second.metadata["candidate"]["measured_now"] is False
    assert second.metadata["index"]["action"] == "kept"
    assert second.metadata["export"]["written"] is False
    assert second.versions == papers.first.versions


def test_a_search_finds_by_the_tuned_encoder(papers: ProjectRuns, workspace: Workspace) -> None:
    hits = workspace.search("papers").search("b5 d5 e5 f5", k=5)
    assert hits.generation == 1
    assert hits.hits[0].id == "r005"
    assert hits.hits[0].row["group"] == "g5"


def test_a_row_edit_encodes_one_row_and_never_retrains(papers: ProjectRuns) -> None:
    write_rows(papers.folder / "rows.jsonl", changed={7: "b1 b2 b3"})
    third = papers.run()
    assert (third.metadata["raw"]["updated"], third.metadata["embeddings"]["encoded"]) == (1, 1)
    assert third.metadata["training_set"]["drawn"] is False
    assert third.metadata["encoder"]["trained_now"] is False
    changed = {stage for stage in STAGES if third.versions[stage] != papers.first.versions[stage]}
    assert changed == {"raw", "embeddings", "candidate", "index", "map", "export"}
    assert third.checks == dict.fromkeys(third.checks, True)
    write_rows(papers.folder / "rows.jsonl")
    assert papers.run().versions == papers.first.versions


def test_a_refresh_draws_again_and_a_known_key_trains_nothing(papers: ProjectRuns) -> None:
    config = {"ops": {"training_set__papers__text": {"config": {"refresh": True}}}}
    again = papers.run("raw", "training_set", "encoder", config=config)
    assert again.metadata["training_set"]["drawn"] is True
    assert again.metadata["encoder"]["trained_now"] is False
    assert again.versions["encoder"] == papers.first.versions["encoder"]


def test_maintenance_measures_again_and_changes_no_version(papers: ProjectRuns) -> None:
    config = {"ops": {"candidate__papers": {"config": {"maintenance": True}}}}
    again = papers.run("candidate", "index", "map", config=config)
    assert again.metadata["candidate"]["measured_now"] is True
    assert again.versions == {stage: papers.first.versions[stage] for stage in ("candidate", "index", "map")}


def test_an_unreadable_line_is_set_aside_and_the_rest_goes_on(papers: ProjectRuns, workspace: Workspace) -> None:
    with (papers.folder / "rows.jsonl").open("a") as file:
        file.write('{"id": "bad", "text": \n')
    done = papers.run("raw", "embeddings", "candidate", "index")
    assert done.success
    assert (done.metadata["raw"]["unreadable"], done.metadata["raw"]["dagster/row_count"]) == (1, ROWS)
    assert [failure.stage for failure in workspace.failures.list("papers")] == ["raw"]
    write_rows(papers.folder / "rows.jsonl")
    papers.run("raw")
    assert workspace.failures.list("papers") == ()


def test_two_collections_with_the_same_pairs_each_have_their_training_set(
    papers: ProjectRuns, tiny_model: Path, tmp_path: Path
) -> None:
    folder = write_project(tmp_path, "papers_too", tiny_model)
    other = ProjectRuns(folder, load_collection(folder / "defs.yaml"), papers.instance)
    stages = ("raw", "training_set", "encoder")
    done = other.run(*stages)
    assert done.versions["training_set"] == papers.first.versions["training_set"]
    assert done.metadata["encoder"]["trained_now"] is False, "the same key, the same checkpoint"
    assert papers.run(*stages).metadata["training_set"]["drawn"] is False
    assert other.run(*stages).metadata["training_set"]["drawn"] is False


def test_tampered_weights_fail_closed(papers: ProjectRuns, workspace: Workspace) -> None:
    digest = papers.first.versions["encoder"]
    checkpoint = workspace.checkpoints.get(digest)
    weights = checkpoint.folder / "model.safetensors"
    kept = weights.read_bytes()
    damaged = bytearray(kept)
    for place in range(len(damaged) - 4000, len(damaged) - 1, 4):
        damaged[place + 1] ^= 0x3F
    weights.write_bytes(damaged)
    try:
        with pytest.raises(ContractMismatch, match=f"checkpoint {digest[:12]} has other files than were stored"):
            workspace.search("papers").search("b5", k=3)
        write_rows(papers.folder / "rows.jsonl", changed={5: "b6"})
        store = CollectionStore(workspace, papers.collection)
        before = workspace.embeddings.content_version(store.all()[0])
        assert not papers.run("raw", "embeddings", raises=False).success
        assert workspace.embeddings.content_version(store.all()[0]) == before, "not one vector of another model"
        assert workspace.failures.list("papers") == ()
    finally:
        weights.write_bytes(kept)
        write_rows(papers.folder / "rows.jsonl")
        papers.run("raw")


def test_an_encoder_that_gives_other_vectors_fails_closed(papers: ProjectRuns, workspace: Workspace) -> None:
    """The files are right, but a library computes something else: only canaries can tell."""
    from dataclasses import replace

    checkpoint = workspace.checkpoints.get(papers.first.versions["encoder"])
    assert checked_encoder(checkpoint).digest == checkpoint.digest
    turned = [replace(canary, vector=(*canary.vector[1:], canary.vector[0])) for canary in checkpoint.canaries]
    with pytest.raises(CanaryMismatch, match="does not give the vectors stored with checkpoint"):
        checked_encoder(replace(checkpoint, canaries=tuple(turned)))


def test_a_checkpoint_whose_folder_is_gone_is_trained_again(papers: ProjectRuns, workspace: Workspace) -> None:
    digest = papers.first.versions["encoder"]
    folder = workspace.checkpoints.get(digest).folder
    shutil.rmtree(folder)
    again = papers.run("encoder")
    assert again.metadata["encoder"]["trained_now"] is True
    assert again.versions["encoder"] == digest, "the same key gives the same weights"
    assert workspace.search("papers").search("b5", k=3).hits
