"""Scores on declared tasks: the asset, its files, MLflow, what is not computed again, and a table of token vectors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from materialized import TO_LIVE, ProjectRuns, project_runs
from project import write_project
from scipy.stats import spearmanr

from vector_assets.assets.build import build_definitions
from vector_assets.assets.graph import render_graph
from vector_assets.errors import NotFound, SourceError, SpecError
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.score_data import ScoreData
from vector_assets.stores.scores import score_live
from vector_assets.stores.workspace import Workspace

SCORES = """  scores:
    languages: [eng-Latn]
    tasks:
      Answers: {kind: retrieval, queries: queries.jsonl, qrels: qrels.tsv}
      Halves: {kind: classification, train: train.csv, test: test.csv, shots: 4, draws: 3}
      Groups: {kind: clustering, labels: group, draws: 2}
      Alike: {kind: sts, pairs: pairs.csv}
"""
PAIRS = [("b1 d1", "b1 e1", 5), ("b2 d2", "b2", 4), ("b3", "d3", 2), ("b4 e4", "f9", 1), ("b5", "b5 d5", 4)]


def write_data(folder: Path) -> None:
    """Questions of word b<k>, texts of even and odd k, pairs with scores."""
    (folder / "queries.jsonl").write_text("".join(f'{{"_id": "q{k}", "text": "b{k} d{k}"}}\n' for k in range(6)))
    lines = [f"q{k}\tr{row:03}\t1\n" for k in range(6) for row in range(k, 150, 24)]
    (folder / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    for name, start in (("train", 0), ("test", 12)):
        rows = [f"b{k} d{k},{'even' if k % 2 == 0 else 'odd'}\n" for k in range(start, start + 12)]
        (folder / f"{name}.csv").write_text("text,label\n" + "".join(rows))
    write_pairs(folder, PAIRS)


def write_pairs(folder: Path, pairs: list[tuple[str, str, int]]) -> None:
    lines = "".join(f"{left},{right},{score}\n" for left, right, score in pairs)
    (folder / "pairs.csv").write_text("sentence1,sentence2,score\n" + lines)


@pytest.fixture(scope="module")
def scored(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = write_project(tmp_path_factory.mktemp("scored"), "scored", tiny_model, extra=SCORES)
    write_data(folder)
    with project_runs(workspace, folder, *TO_LIVE, "scores") as found:
        yield found


def results(scored: ProjectRuns, digest: str) -> dict[str, dict[str, object]]:
    folder = Path(str(scored.first.metadata["scores"]["results"])) / digest
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def test_the_asset_scores_three_arms_in_the_shape_of_mteb(scored: ProjectRuns, workspace: Workspace) -> None:
    assert scored.first and scored.first.success
    said = scored.first.metadata["scores"]
    assert said["evaluated"] == 12
    table = {record.data["task"]: record.data for record in said["scores"].records}  # type: ignore[attr-defined]
    assert {(name, line["type"], line["metric"]) for name, line in table.items()} == {
        ("Answers", "retrieval", "ndcg_at_10"), ("Halves", "classification", "accuracy"),
        ("Groups", "clustering", "v_measure"), ("Alike", "sts", "cosine_spearman"),
    }  # fmt: skip
    live = scored.first.versions["encoder"]
    found = results(scored, live)
    assert set(found) == set(table)
    for name, result in found.items():
        assert set(result) == {
            "dataset_revision", "task_name", "mteb_version", "scores", "evaluation_time", "kg_co2_emissions"
        }  # fmt: skip
        assert result["task_name"] == name and len(str(result["dataset_revision"])) == 64
        (entry,) = result["scores"]["test"]  # type: ignore[index]
        assert entry["hf_subset"] == "default" and entry["languages"] == ["eng-Latn"]
        assert f"{entry['main_score']:.4f}" == table[name]["live"]
        assert said[f"{name}_{table[name]['metric']}"] == pytest.approx(entry["main_score"], abs=1e-6)
    assert found["Answers"]["scores"]["test"][0]["documents"] == 150  # type: ignore[index]


def test_the_arms_are_the_checkpoints_that_they_say(scored: ProjectRuns, workspace: Workspace) -> None:
    from sentence_transformers import SentenceTransformer

    tasks = score_live(CollectionStore(workspace, scored.collection), tags={})
    assert tasks.evaluated == 0
    by_name = {arm.name: arm for arm in tasks.arms}
    assert by_name["live"].checkpoint == scored.first.versions["encoder"]
    assert len({arm.checkpoint for arm in tasks.arms}) == 3
    contracts = {name: workspace.checkpoints.get(str(arm.checkpoint)).contract for name, arm in by_name.items()}
    assert (contracts["live"]["layer"], contracts["untrained"]["layer"], contracts["static"]["layer"]) == (-1, -1, 0)
    for arm in tasks.arms:  # by another library
        model = SentenceTransformer(str(workspace.checkpoints.get(str(arm.checkpoint)).folder), device="cpu")
        left, right = (model.encode([pair[side] for pair in PAIRS]) for side in (0, 1))
        wanted = spearmanr(np.sum(left * right, axis=1), [pair[2] for pair in PAIRS]).statistic
        assert tasks.score(arm.name, "Alike") == pytest.approx(wanted)


def test_results_are_in_mlflow_and_unchanged_data_are_not_scored_again(
    scored: ProjectRuns, workspace: Workspace
) -> None:
    client = workspace.tracking._client()
    experiment = client.get_experiment_by_name("scored/scores")
    assert experiment
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED" and run.data.tags["dagster/run_id"]
    assert str(run.info.run_id) in str(scored.first.metadata["scores"]["mlflow_run"])
    wanted = results(scored, scored.first.versions["encoder"])["Answers"]["scores"]["test"][0]["ndcg_at_10"]  # type: ignore[index]
    assert run.data.metrics["Answers/live/ndcg_at_10"] == pytest.approx(wanted)
    assert {f"Alike/{arm}/main_score" for arm in ("live", "untrained", "static")} <= set(run.data.metrics)
    names = {one.path for one in client.list_artifacts(run.info.run_id, "results/static")}
    assert names == {f"results/static/{name}.json" for name in ("Answers", "Halves", "Groups", "Alike")}
    assert {one.dataset.name for one in run.inputs.dataset_inputs} == {"Answers", "Halves", "Groups", "Alike"}

    again = scored.run("scores")
    assert again.metadata["scores"]["evaluated"] == 0
    assert again.versions["scores"] == scored.first.versions["scores"]
    assert again.metadata["scores"]["mlflow_run"] == scored.first.metadata["scores"]["mlflow_run"]
    assert len(client.search_runs([experiment.experiment_id])) == 1

    write_pairs(scored.folder, [*PAIRS, ("b7", "f1", 0)])
    other = scored.run("scores")
    assert other.metadata["scores"]["evaluated"] == 3  # one task, three arms
    assert other.versions["scores"] != scored.first.versions["scores"]
    assert len(client.search_runs([experiment.experiment_id])) == 2
    write_pairs(scored.folder, PAIRS)


def test_a_field_of_labels_is_split_as_the_training_was(scored: ProjectRuns, workspace: Workspace) -> None:
    assert scored.collection.scores
    store = CollectionStore(workspace, scored.collection)
    task = scored.collection.scores.tasks["Halves"].model_copy(update={"train": None, "test": None, "labels": "group"})
    data = ScoreData(store, scored.collection.scores, "text").read("Halves", task)
    assert set(data.test.labels) == {"g9"} and set(data.train.labels) == {f"g{n}" for n in range(8)}  # type: ignore[union-attr]


def test_of_many_rows_the_judged_ones_and_others_are_taken(scored: ProjectRuns, workspace: Workspace) -> None:
    assert scored.collection.scores
    store = CollectionStore(workspace, scored.collection)
    few = scored.collection.scores.model_copy(update={"rows": 60})
    data = ScoreData(store, few, "text").read("Answers", few.tasks["Answers"])
    assert (len(data.keys), data.of) == (60, 150)  # type: ignore[union-attr]
    judged = {key for query in data.judged for key in query.relevant}  # type: ignore[union-attr]
    assert judged <= {json.dumps(list(key)) for key in data.keys}  # type: ignore[union-attr]
    assert list(data.keys) == sorted(data.keys)  # type: ignore[union-attr]


def test_data_that_do_not_fit_are_one_line(scored: ProjectRuns, workspace: Workspace, tmp_path: Path) -> None:
    assert scored.collection.scores
    store = CollectionStore(workspace, scored.collection)
    data = ScoreData(store, scored.collection.scores, "text")
    (tmp_path / "one.csv").write_text("text,label\nb1,a\nb2,a\n")
    one = {"train": str(tmp_path / "one.csv"), "test": str(tmp_path / "one.csv")}
    with pytest.raises(SpecError, match=r"scores\.tasks\.Halves: 2 texts of 1 labels to learn from, 2 to ask"):
        data.read("Halves", scored.collection.scores.tasks["Halves"].model_copy(update=one))
    task = scored.collection.scores.tasks["Groups"].model_copy(update={"labels": None, "file": one["train"]})
    with pytest.raises(SpecError, match=r"scores\.tasks\.Groups: 2 texts of 1 labels"):
        data.read("Groups", task)
    (tmp_path / "none.tsv").write_text("q1\tnobody\t1\n")
    absent = {"qrels": str(tmp_path / "none.tsv")}
    with pytest.raises(SourceError, match="no judged row is a row with text of scored"):
        data.read("Answers", scored.collection.scores.tasks["Answers"].model_copy(update=absent))
    with pytest.raises(NotFound, match="no live generation"):
        score_live(CollectionStore(workspace, scored.collection.model_copy(update={"name": "nowhere"})), tags={})


def test_automation_scores_only_where_it_is_declared(scored: ProjectRuns) -> None:
    def lines(on_change: bool) -> list[str]:
        assert scored.collection.scores
        scores = scored.collection.scores.model_copy(update={"on_change": on_change})
        declared = scored.collection.model_copy(update={"scores": scores})
        return render_graph(build_definitions(declared)).splitlines()

    quiet, eager = lines(False), lines(True)
    place = quiet.index("scores/scored <- index/scored")
    assert quiet[place + 1 : place + 3][0].endswith("pool encoder") and "runs when" not in quiet[place + 2]
    assert "runs when" in eager[place + 2]
    (sensor,) = [line for line in eager if line.startswith("sensor scored_automation")]
    assert "scores/scored" in sensor and not [line for line in quiet if "schedule" in line and "scores/" in line]
