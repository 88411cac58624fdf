"""A collection of images as people run it: check, plan, materialize, search by an image, failures, status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Project, refused
from tiny_vision import CONVNEXT, photo_bytes, set_processor

from vector_assets.stores.workspace import Workspace

DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: file, path: rows.jsonl}}
  fields: {{photo: image, topic: category}}
  spaces:
    photo: {{kind: image, fields: [photo], encoder: {model}}}
"""
STAGES = [word for stage in ("raw", "encoder", "embeddings", "candidate", "index") for word in ("--stage", stage)]


@pytest.fixture
def project(
    workspace: Workspace, session_home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str],
    tiny_vision: Path,
) -> Project:  # fmt: skip
    made = Project(tmp_path, name, session_home, capsys)
    rows = [{"id": f"r{seed}", "photo": f"pictures/{seed}.png", "topic": "t"} for seed in range(12)]
    made.write(DECLARATION, rows="".join(json.dumps(row) + "\n" for row in rows), model=str(tiny_vision))
    (made.folder / "pictures").mkdir()
    for seed in range(12):
        (made.folder / "pictures" / f"{seed}.png").write_bytes(photo_bytes(seed))
    (made.folder / "pictures" / "5.png").write_bytes(photo_bytes(5)[:800])
    return made


def test_images_from_declaration_to_hits(project: Project, name: str, workspace: Workspace) -> None:
    assert project.command("check").returncode == 0
    plan = json.loads(project.command("plan", name, "--json").stdout)
    assert (plan["rows"], plan["encode"]) == (12, 12)
    done = project.command("materialize", name, *STAGES, "--json")
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert (stages["embeddings"]["encoded"], stages["embeddings"]["failed"]) == (11, 1)

    asked = str(project.folder / "pictures" / "7.png")
    found = json.loads(project.command("search", name, "--image", asked, "-k", "2", "--json").stdout)
    assert found["hits"][0]["id"] == "r7"
    assert found["hits"][0]["score"] > 0.9999
    assert found["hits"][0]["row"]["photo"].startswith("sha256:")
    assert "r7" in project.command("search", name, "--image", asked).stdout
    refused(project.command("search", name, "a red mug"), name, "cannot be asked with words", "--image FILE")
    refused(project.command("search", name), "nothing is asked")
    refused(project.command("search", name, "--image", str(project.folder / "no.png")), "no.png", "no such file")
    refused(project.command("search", name, "--image", str(project.folder / "pictures" / "5.png")), "image is broken")

    failures = json.loads(project.command("failures", name, "--json").stdout)
    assert [(one["stage"], one["row"]) for one in failures["failures"]] == [("embeddings", '["r5"]')]
    status = json.loads(project.command("status", name, "--json").stdout)["collections"][name]
    assert (status["rows"], status["embedded"], status["failed"]) == (12, 11, 1)

    # Another interpolation in the stored folder: searching and encoding fail closed, with both sides named.
    folder = workspace.checkpoints.get(status["checkpoints"]["photo"]).folder
    before = (folder / "preprocessor_config.json").read_bytes()
    try:
        set_processor(folder, **CONVNEXT | {"resample": 0})
        refused(project.command("search", name, "--image", asked), "resample expected 'bicubic', found 'nearest'")
        (project.folder / "pictures" / "3.png").write_bytes(photo_bytes(33))
        stages = ("--stage", "raw", "--stage", "embeddings")
        refused(project.command("materialize", name, *stages), "resample expected 'bicubic', found 'nearest'")
    finally:
        (folder / "preprocessor_config.json").write_bytes(before)
    again = json.loads(project.command("materialize", name, *STAGES, "--json").stdout)["stages"]["embeddings"]
    assert (again["encoded"], again["unchanged"]) == (1, 11)
