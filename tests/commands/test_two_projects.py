"""Projects named to ``connect``: each has its own home, and two may follow each other in one process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command_line import DECLARATION

from vector_assets import connect
from vector_assets.errors import SpecError
from vector_assets.runtime.home import home
from vector_assets.spec.project import in_project
from vector_assets.stores.workspace import Workspace


def write(root: Path, name: str, model: Path, word: str) -> Path:
    """A project with one collection of five rows."""
    folder = root / "defs" / name
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(DECLARATION.format(name=name, model=f"static:{model}"))
    rows = "".join(f'{{"id": "{word}{k}", "text": "{word} b{k} d{k}"}}\n' for k in range(5))
    (folder / "rows.jsonl").write_text(rows)
    return root


def test_each_project_runs_as_it_is_declared_wherever_the_process_stands(
    in_workspace: Workspace, tmp_path: Path, name: str, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = write(tmp_path / "one", f"{name}a", tiny_model, "e")
    second = write(tmp_path / "two", f"{name}b", tiny_model, "f")
    before = {key: value for key, value in os.environ.items() if key.startswith(("VECTOR_ASSETS_", "DAGSTER_HOME"))}
    stages = ("raw", "encoder", "embeddings", "candidate", "index")
    for root, which, word in ((first, "a", "e"), (second, "b", "f"), (first, "a", "e")):
        collection = connect(root).collection(name + which)
        done = collection.materialize(stages=stages)
        assert done.success, done.error
        assert {hit.id for hit in collection.search(f"{word} b3", k=5).hits} == {f"{word}{k}" for k in range(5)}
        now = {key: value for key, value in os.environ.items() if key.startswith(("VECTOR_ASSETS_", "DAGSTER_HOME"))}
        assert now == before, "nothing of one project is left for the next"


def test_a_project_that_is_named_has_its_home_below_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("VECTOR_ASSETS_HOME", "VECTOR_ASSETS_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "one").mkdir()
    with in_project(Path("one")):
        assert home() == tmp_path / "one" / ".vector_assets"
        with in_project(None):
            assert home() == tmp_path / "one" / ".vector_assets"
        with pytest.raises(SpecError, match="has no defs folder"):
            connect("one")
    assert home() == tmp_path / ".vector_assets"
