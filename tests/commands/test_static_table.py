"""A collection of token vectors alone as people run it: check, materialize, search, evaluate, scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import DECLARATION, Project, refused

from vector_assets.stores.workspace import Workspace

PAIRS = "sentence1,sentence2,score\nb1 d1,b1 e1,5\nb2 d2,b2,4\nb3,d3,2\nb4 e4,f9,1\n"


def test_a_table_of_token_vectors_serves_and_is_scored_from_yaml(
    workspace: Workspace, session_home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str],
    tiny_model: Path,
) -> None:  # fmt: skip
    project = Project(tmp_path, name, session_home, capsys)
    rows = "".join(json.dumps({"id": f"r{k}", "text": f"b{k} d{k} e{k}"}) + "\n" for k in range(20))
    tasks = "  scores: {tasks: {Alike: {kind: sts, pairs: pairs.csv}}}\n"
    project.write(DECLARATION + tasks.replace("{", "{{").replace("}", "}}"), rows=rows, model=f"static:{tiny_model}")
    (project.folder / "pairs.csv").write_text(PAIRS)
    assert project.command("check").returncode == 0
    stages = [word for stage in ("raw", "encoder", "embeddings", "candidate", "index") for word in ("--stage", stage)]
    done = project.command("materialize", name, *stages, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["stages"]["embeddings"]["encoded"] == 20
    for asked, best in (("d7 b7", "r7"), ("E3", "r3")):
        found = json.loads(project.command("search", name, asked, "-k", "3", "--json").stdout)
        assert found["hits"][0]["id"] == best
    kept = project.command("search", name, "d7 b7", "--where", "id in (r3, r4)", "--where", "not id = r3", "--json")
    assert [hit["id"] for hit in json.loads(kept.stdout)["hits"]] == ["r4"]
    refused(project.command("search", name, "d7", "--where", "txt = b7"), "'txt' is not a field", "id, text")
    (tmp_path / "q.jsonl").write_text('{"_id": "q", "text": "b5 d5"}\n')
    (tmp_path / "r.tsv").write_text("q\tr5\t1\n")
    files = ("--queries", str(tmp_path / "q.jsonl"), "--qrels", str(tmp_path / "r.tsv"))
    assert json.loads(project.command("evaluate", name, *files, "--json").stdout)["ndcg@10"] == 1.0
    digest = json.loads(project.command("status", name, "--json").stdout)["collections"][name]["checkpoints"]["text"]
    assert workspace.checkpoints.get(digest).contract["layer"] == 0
    scored = project.command("materialize", name, "--stage", "scores")
    assert scored.returncode == 0 and "1 evaluated now; Alike " in " ".join(scored.stdout.split())
    refused(project.command("materialize", name, "--stage", "score"), "--stage score", "scores")
