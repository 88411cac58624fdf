"""A measured generation as people see it: calibration and pictures in Dagster, a run in MLflow, answers in search."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from materialized import TO_LIVE, ProjectRuns, mlflow_runs, project_runs
from project import change_rows, write_project
from typer.testing import CliRunner

from vector_assets.cli import app
from vector_assets.collection_client import CollectionClient
from vector_assets.errors import UserError
from vector_assets.stores.workspace import Workspace

NAME = "measured_animals"


def ask(folder: Path, side: str, numbers: range) -> None:
    """Row n is asked for by the words that it has; rows of the same words answer, and every third asks in vain."""
    queries, qrels = [], ["query-id\tcorpus-id\tscore"]
    for n in numbers:
        k = n % 24
        words = f"b{k} d{k} e{k} f{n % 30}" if n % 3 else f"z{n} y{n}"
        queries.append(json.dumps({"_id": f"{side}{n}", "text": words}))
        qrels += [f"{side}{n}\tr{i:03}\t1" for i in range(150) if i % 24 == k]
    (folder / f"{side}.jsonl").write_text("\n".join(queries))
    (folder / f"{side}.tsv").write_text("\n".join(qrels))


@pytest.fixture(scope="module")
def animals(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    evaluation = """  evaluation:
    queries: held.jsonl
    qrels: held.tsv
    calibration: {queries: learned.jsonl, qrels: learned.tsv}
    answer_precision: 0.6
    bm25_rows: 0
"""
    folder = write_project(tmp_path_factory.mktemp("project"), NAME, tiny_model, train=False, extra=evaluation)
    ask(folder, "learned", range(0, 100))
    ask(folder, "held", range(100, 120))
    with project_runs(workspace, folder, *TO_LIVE) as runs:
        yield runs


def run_of(workspace: Workspace) -> Any:
    (run,) = mlflow_runs(workspace, f"{NAME}/candidates")
    return run


def test_dagster_shows_calibration_and_both_pictures(animals: ProjectRuns) -> None:
    candidate = animals.first.metadata["candidate"]
    (line,) = [record.data for record in candidate["calibration"].records]  # type: ignore[attr-defined]
    assert (line["method"], line["stated_precision"], line["questions"]) == ("vector", 0.6, 100)
    assert line["threshold"] is not None and line["found_precision"] >= 0.6 and 0 <= line["ece"] < 0.2
    for name in ("recall_against_latency", "reliability"):
        assert str(candidate[name]).startswith(f"![{name}](data:image/png;base64,iVBOR")


def test_mlflow_has_one_run_of_the_generation_with_its_numbers(animals: ProjectRuns, workspace: Workspace) -> None:
    run = run_of(workspace)
    assert (run.info.run_name, run.info.status) == ("generation 1", "FINISHED")
    numbers = run.data.metrics
    line = animals.first.metadata["candidate"]["calibration"].records[0].data  # type: ignore[attr-defined]
    assert numbers["vector/ece"] == pytest.approx(line["ece"], abs=1e-4)
    assert numbers["vector/threshold"] == pytest.approx(line["threshold"])
    assert {"vector/brier", "vector/answered", "recall_at_10/mean", "search/ndcg_at_10"} <= set(numbers)
    client = workspace.tracking._client()
    files = {each.path for each in client.list_artifacts(run.info.run_id, "pictures")}
    assert files == {"pictures/recall_against_latency.png", "pictures/reliability.png"}
    assert run.info.run_id in str(animals.first.metadata["candidate"]["mlflow_run"])


def test_a_sync_of_live_learns_nothing_anew_and_adds_no_run(animals: ProjectRuns, workspace: Workspace) -> None:
    before = run_of(workspace)
    change_rows(animals.folder, lambda n, row: row | ({"text": "b1 d1 e1 changed"} if n == 5 else {}))
    again = animals.run(*TO_LIVE)
    assert again.metadata["candidate"]["measured_now"] is True
    assert again.metadata["candidate"]["calibration"] == animals.first.metadata["candidate"]["calibration"]
    assert "reliability" in again.metadata["candidate"]
    assert run_of(workspace).info.end_time == before.info.end_time


def test_other_questions_are_learned_from_in_the_same_run(animals: ProjectRuns, workspace: Workspace) -> None:
    ask(animals.folder, "learned", range(0, 90))
    again = animals.run(*TO_LIVE)
    assert again.metadata["candidate"]["calibration"].records[0].data["questions"] == 90  # type: ignore[attr-defined]
    assert run_of(workspace).data.metrics["vector/calibration_questions"] == 90


def test_search_answers_by_the_declared_precision(animals: ProjectRuns, workspace: Workspace) -> None:
    client = CollectionClient(workspace, animals.collection)
    sure = client.search("b7 d7 e7 f7", precision="declared")
    assert sure.floor and sure.floor.precision == 0.6 and sure.hits and sure.hits[0].probability
    unsure = client.search("b7 d7 e7 f7", precision=0.999)
    assert unsure.hits == () and unsure.floor and "99.9 %" in unsure.floor.why
    with pytest.raises(UserError, match="expected a share"):
        client.search("b7", precision=2.0)


def test_the_commands_as_people_type_them(
    animals: ProjectRuns, in_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = animals.folder.parents[1]
    monkeypatch.setenv("VECTOR_ASSETS_PROJECT", str(root))  # the command sets it; this takes it back

    def command(*arguments: str) -> str:
        result = CliRunner().invoke(app, [*arguments, "--project", str(root)], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    each = tmp_path / "each.jsonl"
    told = json.loads(
        command("evaluate", NAME, "--method", "all", "--generation", "1", "--per-query", str(each), "--json")
    )
    assert {"vector", "exact", "generation 1"} <= set(told["methods"])
    assert told["methods"]["vector"]["ndcg@10"]["mean"] == told["ndcg@10"] > 0.3
    lines = [json.loads(line) for line in each.read_text().splitlines()]
    assert len(lines) == told["queries"] * len(told["methods"])
    assert "mean, 95 %" in command("evaluate", NAME)

    answer = json.loads(command("search", NAME, "b7 d7 e7 f7", "--precision", "declared", "--json"))
    assert answer["answered"] is True and answer["precision"] == 0.6 and answer["hits"][0]["probability"] > 0.6
    none = json.loads(command("search", NAME, "b7 d7 e7 f7", "--precision", "0.999", "--json"))
    assert (none["answered"], none["hits"]) == (False, [])
    assert "% likely" in command("search", NAME, "b7 d7 e7 f7")
    assert "no answer (" in command("search", NAME, "b7 d7 e7 f7", "--precision", "0.999")
    with pytest.raises(UserError, match=r"expected a share between 0 and 1, such as 0\.9, declared or none"):
        command("search", NAME, "b7", "--precision", "90")
