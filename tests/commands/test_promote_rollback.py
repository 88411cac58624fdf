"""A person's word against the gate's, as it is typed: promote, look, take back; MLflow and Dagster follow."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from command_line import Project, refused
from fakes import Execute
from tiny import make_tiny_bert

from vector_assets.assets.build import build_definitions
from vector_assets.assets.instance import get_instance, instance_environment
from vector_assets.assets.keys import key
from vector_assets.collection_client import CollectionClient
from vector_assets.spec.load import load_collection
from vector_assets.stores.workspace import Workspace

DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: file, path: rows.jsonl}}
  fields: {{text: text}}
  spaces:
    text: {{fields: [text], encoder: {model}}}
  export: {{url: exported}}
  automation: {{on_change: true}}
"""
STAGES = ("raw", "encoder", "embeddings", "candidate", "index", "export")
QUESTION = "b7 d7"


@dataclass
class Typed:
    """A project at the command line, and what others see of it."""

    project: Project
    instance: dg.DagsterInstance
    cursor: Any = None

    def json(self, *arguments: str) -> dict[str, Any]:
        done = self.project.command(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def materialize(self, *stages: str) -> dict[str, Any]:
        named = [word for stage in stages for word in ("--stage", stage)]
        return self.json("materialize", self.project.name, *named)

    def found(self) -> tuple[int, list[str]]:
        """The generation that answers, and what it finds."""
        said = self.json("search", self.project.name, QUESTION, "-k", "5")
        return said["generation"], [hit["id"] for hit in said["hits"]]

    def status(self) -> dict[str, Any]:
        return self.json("status", self.project.name)["collections"][self.project.name]  # type: ignore[no-any-return]

    def asked(self) -> set[str]:
        """The stages that one tick of the automation sensor requests."""
        defs = build_definitions(load_collection(self.project.folder / "defs.yaml"))
        result = dg.evaluate_automation_conditions(defs=defs, instance=self.instance, cursor=self.cursor)
        self.cursor = result.cursor
        keys = defs.get_repository_def().asset_graph.toposorted_asset_keys
        return {each.path[0] for each in keys if result.get_num_requested(each)}

    def told(self) -> dg.EventLogEntry:
        """What Dagster heard of the index last."""
        collection = load_collection(self.project.folder / "defs.yaml")
        event = self.instance.get_latest_materialization_event(key("index", collection))
        assert event and event.asset_materialization
        return event


@pytest.fixture
def typed(
    in_workspace: Workspace, session_home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Typed]:  # fmt: skip
    for variable, value in instance_environment(in_workspace).items():
        monkeypatch.setenv(variable, value)  # as the instance will; this takes it back
    with get_instance(in_workspace) as instance:
        yield Typed(Project(tmp_path, name, session_home, capsys), instance)


def test_promote_and_rollback_change_what_answers_and_tell_mlflow_and_dagster(
    typed: Typed, in_workspace: Workspace, execute: Execute, tmp_path: Path, name: str
) -> None:
    project, tracking = typed.project, in_workspace.tracking
    rows = "".join(json.dumps({"id": f"r{k}", "text": f"b{k} d{k} e{k}"}) + "\n" for k in range(20))
    models = [str(make_tiny_bert(tmp_path / f"model{seed}", seed=seed)) for seed in (101, 102)]
    project.write(DECLARATION, rows=rows, model=models[0])
    assert typed.materialize(*STAGES)["decision"] == "promote"
    first, champion = typed.found(), tracking.champion(f"{name}.text")
    assert first[0] == 1 and champion

    project.write(DECLARATION, rows=None, model=models[1])
    assert typed.materialize(*STAGES)["decision"] == "needs_evaluation"
    assert typed.found() == first and tracking.champion(f"{name}.text") == champion
    typed.asked()  # the map, which was never drawn
    assert typed.asked() == set()

    refused(project.command("promote", name, "--because", " "), "because is empty")
    assert typed.json("promote", name, "--because", "I looked at it") == {
        "collection": name, "generation": 2, "was": 1, "action": "promoted", "decision": "needs_evaluation",
        "because": "I looked at it", "dropped": [],
    }  # fmt: skip
    assert typed.found()[0] == 2
    now = typed.status()
    assert (now["generation"], now["pending"], now["coverage"]) == (2, 0, 1.0)
    assert tracking.champion(f"{name}.text") not in (None, champion)
    assert typed.told().asset_materialization.metadata["because"].value == "I looked at it"  # type: ignore[union-attr]
    assert typed.asked() == {"index", "export", "map"}
    assert typed.asked() == set()
    typed.materialize("index", "export")
    assert json.loads((project.folder / "exported" / "manifest.json").read_text())["head"]["generation"] == 2
    typed.asked()  # the map was asked for with an index of before
    assert typed.asked() == set()

    written = f'select xmin::text, ctid::text from embedding."{name}_g1" order by ctid'
    before = execute(written)
    said = typed.json("rollback", name, "--because", "worse for Anna")
    assert said == {
        "collection": name, "generation": 1, "was": 2, "action": "rolled back", "decision": "promote",
        "because": "worse for Anna", "dropped": [],
    }  # fmt: skip
    assert typed.found() == first, "the old generation answers"
    assert execute(written) == before and len(before) == 20, "no vector was written anew"
    now = typed.status()
    assert (now["generation"], now["pending"], now["coverage"]) == (1, 0, 1.0)
    assert tracking.champion(f"{name}.text") == champion
    event = typed.told()
    made = event.asset_materialization
    assert made and event.run_id == "", "no run made it"
    values = {label: made.metadata[label].value for label in ("generation", "was", "action", "because")}
    assert values == {"generation": 1, "was": 2, "action": "rolled back", "because": "worse for Anna"}
    assert (made.tags or {})["dagster/data_version"].startswith("1-")
    assert typed.asked() == {"index", "export", "map"}
    assert typed.asked() == set()

    project.write(DECLARATION, rows=None, model=models[0])
    after = typed.materialize("encoder", "embeddings", "candidate", "index", "export")
    assert after["stages"]["embeddings"].get("encoded", 0) == 0, "it was kept, so nothing is encoded for it"
    assert typed.found() == first
    assert "is live again (taken back: 1)" in project.command("rollback", name).stdout
    assert typed.told().asset_materialization.metadata["because"].value == "taken back"  # type: ignore[union-attr]


def test_a_swap_stands_without_dagster(
    typed: Typed, in_workspace: Workspace, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "".join(json.dumps({"id": f"r{k}", "text": f"b{k} d{k}"}) + "\n" for k in range(8))
    for seed in (103, 104):
        typed.project.write(DECLARATION, rows=rows, model=str(make_tiny_bert(tmp_path / f"model{seed}", seed=seed)))
        typed.materialize(*STAGES[:-1])
    client = CollectionClient(in_workspace, load_collection(typed.project.folder / "defs.yaml"))
    told = typed.told().asset_materialization
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "dagster", None)
        assert client.promote(because="in a notebook").live.number == 2
        assert (client.status().generation, client.search("b7 d7", k=1).generation) == (2, 2)
    assert typed.told().asset_materialization == told, "nobody told it"
    assert client.rollback(because="with Dagster").live.number == 1
    assert typed.told().asset_materialization != told
