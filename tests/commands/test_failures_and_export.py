"""``failures`` and ``export`` as people type them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from typer.testing import CliRunner, Result

from vector_assets import read_export
from vector_assets.cli import app
from vector_assets.errors import ExportError, UserError
from vector_assets.stores.workspace import Workspace

Run = Callable[..., Result]


@pytest.fixture
def run(
    in_workspace: Workspace,
    declare: Declare,
    animals: Callable[[int], None],
    execute: Execute,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """A project of one collection, live, whose row 7 cannot be encoded; runs the command line on it."""
    animals(20)
    execute(f"update {name} set title = 'poison' where id = 7")
    folder = tmp_path / "defs" / name
    folder.mkdir(parents=True)
    (folder / "defs.yaml").write_text(
        f"""type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: postgres, table: {name}}}
  fields: {{title: text, body: text, topic: category, price: number}}
  spaces: {{text: {{fields: [title, body]}}}}
  export: {{url: exported, format: npz, partitions: 2}}
"""
    )
    store = FakeStore(in_workspace, declare(), KeywordEncoder())
    store.embed()
    store.swap(store.all()[0], because="a test")

    monkeypatch.setenv("VECTOR_ASSETS_PROJECT", str(tmp_path))  # the command sets it; this takes it back

    def command(*arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments, "--project", str(tmp_path)])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return command


def test_failures_lists_and_retries(run: Run, name: str, execute: Execute) -> None:
    said = run("failures", name).stdout.splitlines()
    assert said[0].startswith("embeddings  [7]  ")
    assert said[0].endswith("once: ValueError: this text cannot be encoded")
    assert said[1] == f"1 row of {name} set aside"
    found = json.loads(run("failures", name, "--json").stdout)
    assert found["count"] == 1
    assert set(found["failures"][0]) == {"stage", "row", "error", "attempts", "first_at", "last_at"}
    assert (found["failures"][0]["row"], found["failures"][0]["attempts"]) == ("[7]", 1)
    assert json.loads(run("failures", name, "retry", "--json").stdout) == {"rows": 1, "unreadable": 0, "lost": 0}
    assert execute(f"select k1 from embedding.\"{name}_g1_rows\" where row_digest = ''") == [(7,)]
    assert run("failures", name, "retry").stdout == (
        f"1 failed row to be taken again by the next run: vector-assets materialize {name}\n"
    )
    with pytest.raises(UserError, match="expected nothing or retry"):
        run("failures", name, "forget")


def test_export_goes_where_it_is_declared_or_told(run: Run, name: str, tmp_path: Path) -> None:
    done = json.loads(run("export", name, "--json").stdout)
    assert (done["rows"], done["files"], done["generation"], done["written"]) == (19, 2, 1, True)
    export = read_export(str(tmp_path / "defs" / name / "exported"))
    assert (export.manifest["cut"]["format"], export.manifest["digest"]) == ("npz", done["digest"])
    assert "as before, nothing written" in run("export", name).stdout
    elsewhere = str(tmp_path / "elsewhere")
    assert (
        "19 vectors in 10 files" in run("export", name, elsewhere, "--format", "parquet", "--rows-per-file", "2").stdout
    )
    assert len(read_export(elsewhere).read()) == 19
    with pytest.raises(UserError, match="--format csv: expected parquet or npz"):
        run("export", name, elsewhere, "--format", "csv")
    with pytest.raises(ExportError, match="is not empty"):
        run("export", name, str(tmp_path))
