"""A learning curve from the command line: it runs when it is named, and only then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Project, refused

from vector_assets.stores.workspace import Workspace

DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: file, path: rows.jsonl}}
  fields: {{text: text, kind: category}}
  spaces:
    text:
      fields: [text]
      encoder: {model}
      train:
        objective: classification
        labels: kind
        trainable: last_1
        batch_size: 16
        max_epochs: 1
        evaluations_per_epoch: 1
        max_gap: 0.01
        curve: {{rows: [4, 20], learning_rates: {{scratch: 0.005}}, layers: 1}}
"""


@pytest.fixture
def project(
    workspace: Workspace, session_home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str],
    tiny_model: Path,
) -> Project:  # fmt: skip
    made = Project(tmp_path, name, session_home, capsys)
    rows = [
        {"id": f"r{n}", "text": f"a{n % 4} b{n % 7} c{n % 11} d{n % 13} e{n % 17}", "kind": f"k{n % 4}"}
        for n in range(80)
    ]
    made.write(DECLARATION, rows="".join(json.dumps(row) + "\n" for row in rows), model=str(tiny_model))
    return made


def test_a_curve_is_measured_when_it_is_named(project: Project, name: str) -> None:
    refused(project.command("materialize", name, "--stage", "curve"), "--stage curve", "learning_curve")
    refused(project.command("materialize", name, "--stage", "learning_curve"), "training_set", "is not drawn yet")
    drawn = project.command("materialize", name, "--stage", "raw", "--stage", "training_set", "--json")
    assert set(json.loads(drawn.stdout)["stages"]) == {"raw", "training_set"}
    done = project.command("materialize", name, "--stage", "learning_curve")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "learning_curve" in said and "4 points, measured" in said and "too little data" in said
    again = project.command("materialize", name, "--stage", "learning_curve")
    assert "4 points, known; nothing trained" in " ".join(again.stdout.split())
