"""A space that learns from a log of clicks, through its assets: what is shown of the log, and what is learned."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
from materialized import project_runs, training_run
from project import declare_training, write_project

from vector_assets.stores.workspace import Workspace

CLICKED = """
      train:
        clicks: {file: clicks.csv, min_impressions: 4}
        split: {by_time: time, validation: 0.2, test: 0.2}
        trainable: last_1
        batch_size: 16
        max_epochs: 1
        evaluations_per_epoch: 1
        learning_rate: 0.001"""


def _write_log(folder: Path) -> None:
    """Each of the first hundred rows is shown for its question and clicked, among rows of other questions."""
    generator = np.random.default_rng(0)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()][:100]
    with (folder / "clicks.csv").open("w", newline="") as file:
        log = csv.writer(file)
        log.writerow(["query", "shown", "position", "clicked", "session", "time"])
        for number, row in enumerate(rows):
            for showing in range(6):
                order = generator.permutation([number, (number + 1) % 100, (number + 2) % 100])
                for position, other in enumerate(order, start=1):
                    clicked = other == number and generator.random() < 1 / position
                    day = f"2026-01-{1 + number // 5:02d}T{showing:02d}:00"
                    log.writerow([row["ask"], rows[other]["id"], position, int(clicked), f"{number}-{showing}", day])


def test_a_log_of_clicks_is_learned_from_and_shown(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path: Path
) -> None:
    folder = write_project(tmp_path, "clicked", tiny_model)
    declare_training(folder, CLICKED)
    _write_log(folder)
    with project_runs(workspace, folder, "raw", "training_set", "encoder") as project:
        first = project.first
    assert first.success
    drawn = first.metadata["training_set"]
    table = [record.data for record in drawn["propensities"].records]  # type: ignore[attr-defined]
    assert [one["position"] for one in table] == [1, 2, 3] and table[0]["propensity"] == 1
    assert 0.2 < table[2]["propensity"] < table[1]["propensity"] < 0.8
    assert drawn["impressions"] == 1800 and drawn["test_from"] > drawn["validation_from"]  # type: ignore[operator]
    assert not [name for name in drawn if name.startswith("position_")]
    assert {"negatives", "weight"} <= set(drawn["examples"].records[0].data)  # type: ignore[attr-defined]
    found = workspace.training_sets.get(first.versions["training_set"])
    assert len({pair.weight for pair in found.split("train")}) > 3 and any(pair.negatives for pair in found.pairs)
    run = training_run(workspace, "clicked/text")
    assert run.data.params["pairs_clicks"] == str(drawn["clicks"])
