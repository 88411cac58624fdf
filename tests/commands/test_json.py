"""The JSON of commands that make something or serve, as programs read it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import GOOD, Project
from rich.console import Console

from vector_assets.assets import demo, serve
from vector_assets.assets.launch import Launched
from vector_assets.collection_client import CollectionClient


@pytest.fixture
def project(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> Project:
    return Project(tmp_path / "made", name, tmp_path / "home", capsys)


def test_what_is_made_says_where(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(project, "arguments", list)  # init takes no project
    assert json.loads(project.command("init", str(project.root), "--json").stdout) == {"project": str(project.root)}
    monkeypatch.undo()
    (tmp_path / "rows.jsonl").write_text(GOOD)
    said = json.loads(project.command("new", project.name, "--from", str(tmp_path / "rows.jsonl"), "--json").stdout)
    assert said["collection"] == project.name
    assert Path(said["declaration"]).read_text().startswith("type: vector_assets.CollectionComponent")


def test_stopping_says_whether_a_server_ran(project: Project) -> None:
    assert json.loads(project.command("doctor", "--stop", "--json").stdout) == {"stopped": False}


def test_up_prints_the_addresses_to_open_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve.Served("http://127.0.0.1:3000", "http://127.0.0.1:5000", Path("logs"), token="t")
    monkeypatch.setattr(serve, "serve", lambda project, *, host, port, mlflow_port, on_ready: on_ready(served))
    assert json.loads(project.command("up", "--json").stdout) == {
        "dagster": "http://127.0.0.1:3000/?token=t",
        "mlflow": "http://127.0.0.1:5000/?token=t#/experiments?workflowType=machine_learning",
        "logs": "logs",
    }


def test_the_demo_prints_its_report_alone(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building the whole takes minutes; here is what the command does with what comes of it."""

    def built(client: CollectionClient, out: Console, err: Console, *, report: Path | None) -> Launched:
        out.print(client.spec.name)
        if report:
            report.write_text('{"rows": 5120}\n')
        return Launched("r", True, (), (), "")

    monkeypatch.setattr(demo, "run_demo", built)
    monkeypatch.setattr(project, "arguments", list)
    assert json.loads(project.command("demo", "--json").stdout) == {"rows": 5120}
    kept = tmp_path / "report.json"
    assert json.loads(project.command("demo", "--json", "--report", str(kept)).stdout) == {"rows": 5120}
    assert kept.exists()
    assert project.command("demo").stdout == "python_functions\n"
