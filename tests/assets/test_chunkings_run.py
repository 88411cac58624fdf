"""The comparison of chunkings as an asset: what Dagster and MLflow show, what is not measured again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from materialized import TO_LIVE, ProjectRuns, project_runs
from project import write_project

from vector_assets.assets.build import build_definitions
from vector_assets.assets.graph import render_graph
from vector_assets.assets.keys import STAGES, stage_keys
from vector_assets.errors import NotFound
from vector_assets.stores.chunkings import settle_chunkings
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.workspace import Workspace

EVALUATION = """  evaluation:
    queries: queries.jsonl
    qrels: qrels.tsv
    chunking_rows: 120
    bm25_rows: 0
    chunkings:
      of_tokens: {by: tokens, size: 8, overlap: 2}
      mean: {by: tokens, size: 8, roll_up: mean, top: 2}
"""


@pytest.fixture(scope="module")
def chunked(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = write_project(
        tmp_path_factory.mktemp("chunked"), "chunked_ways", tiny_model, train=False, extra=EVALUATION
    )
    declared = folder / "defs.yaml"
    declared.write_text(declared.read_text().replace("fields: [text]", "fields: [ask, text]"))
    (folder / "queries.jsonl").write_text("".join(f'{{"_id": "q{k}", "text": "b{k} d{k}"}}\n' for k in range(6)))
    lines = [f"q{k}\tr{row:03}\t1\n" for k in range(6) for row in range(k, 150, 24)]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    stages = [stage for stage in TO_LIVE if stage != "training_set"]
    with project_runs(workspace, folder, *stages, "chunkings") as found:
        yield found


def test_dagster_shows_a_line_for_each_way_beside_the_declared_one(chunked: ProjectRuns) -> None:
    assert chunked.first.success
    said = chunked.first.metadata["chunkings"]
    lines = [record.data for record in said["chunkings"].records]  # type: ignore[attr-defined]
    assert [(line["chunking"], line["rule"]) for line in lines] == [
        ("declared", "whole rows"), ("of_tokens", "tokens, size 8, overlap 2"), ("mean", "tokens, size 8, mean of 2"),
    ]  # fmt: skip
    assert [line["chunks"] for line in lines] == [120, 240, 240], "no chunk reaches from one field into the next"
    assert lines[0]["difference"] == "" and all(line["difference"] and line["p"] for line in lines[1:])
    assert said["queries"] == 6 and said["measured_now"] is True
    assert said["rows"] == "120 of 150 rows, judged ones among them"
    assert str(said["said"]).startswith("ndcg@10 ")


def test_mlflow_has_the_numbers_and_what_is_known_is_not_measured_again(
    chunked: ProjectRuns, workspace: Workspace
) -> None:
    client = workspace.tracking._client()
    experiment = client.get_experiment_by_name("chunked_ways/chunkings")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.data.params["of_tokens"] == "tokens, size 8, overlap 2"
    assert {
        f"{way}/{metric}" for way in ("declared", "of_tokens", "mean") for metric in ("ndcg_at_10", "chunks")
    } <= set(run.data.metrics)
    assert [one.path for one in client.list_artifacts(run.info.run_id)] == ["chunkings.csv"]
    assert str(run.info.run_id) in str(chunked.first.metadata["chunkings"]["mlflow_run"])

    again = chunked.run("chunkings")
    assert again.metadata["chunkings"]["measured_now"] is False
    assert again.metadata["chunkings"]["chunkings"] == chunked.first.metadata["chunkings"]["chunkings"]
    assert again.versions["chunkings"] == chunked.first.versions["chunkings"]
    assert len(client.search_runs([experiment.experiment_id])) == 1

    queries = chunked.folder / "queries.jsonl"
    queries.write_text(queries.read_text().replace("b5 d5", "b5 e5"))
    other = settle_chunkings(CollectionStore(workspace, chunked.collection), tags={})
    assert other.measured_now and other.key != chunked.first.versions["chunkings"]


def test_it_runs_only_when_it_is_named_and_where_it_is_declared(chunked: ProjectRuns, workspace: Workspace) -> None:
    assert "chunkings" not in STAGES
    assert stage_keys(chunked.collection, "chunkings") == [dg.AssetKey(["chunkings", "chunked_ways"])]
    lines = render_graph(build_definitions(chunked.collection)).splitlines()
    place = lines.index("chunkings/chunked_ways <- index/chunked_ways")
    assert "runs when" not in lines[place + 2]
    assert not [line for line in lines if line.startswith(("sensor", "schedule")) and "chunkings/" in line]
    bare = chunked.collection.model_copy(update={"evaluation": None})
    assert stage_keys(bare, "chunkings") == []
    with pytest.raises(NotFound, match=r"declares no evaluation\.chunkings"):
        settle_chunkings(CollectionStore(workspace, bare), tags={})
