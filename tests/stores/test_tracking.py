"""Runs and the registry in a real MLflow store: how runs end, what they read, which version an alias names."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vector_assets.records import Pair, TrainingSet
from vector_assets.spec import Collection
from vector_assets.stores.run_pages import continue_killed, dataset_inputs, log_inputs, page_tags
from vector_assets.stores.workspace import Workspace
from vector_assets.training import pairs_digest

OPENS = """
import sys, time
from vector_assets.stores.mlflow_runs import Tracking
tracking = Tracking(sys.argv[1], sys.argv[2])
tags = {"training_key": "k1", "arm": "tuned"}
with tracking.run(sys.argv[3], "train", tags=tags) as run:
    with tracking.run(sys.argv[3], "base", tags={}, parent=run) as base:
        run.metrics({"train/loss": 1.0}, step=1)
        print(run.run_id, base.run_id, flush=True)
        time.sleep(100)
"""


def test_a_run_whose_process_was_killed_ends_and_is_continued(workspace: Workspace, name: str) -> None:
    tracking, experiment = workspace.tracking, f"{name}/text"
    command = [sys.executable, "-c", OPENS, tracking.uri, tracking.artifacts, experiment]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    lost = process.stdout.readline().split()
    assert tracking.end_lost(experiment) == [], "its process is there"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    client = tracking._client()
    with tracking.run(experiment, "train", tags={"training_key": "k1", "arm": "tuned"}) as run:
        assert client.get_run(lost[0]).info.status == "RUNNING"
        assert sorted(tracking.end_lost(experiment)) == sorted(lost)
        assert tracking.end_lost() == []
        assert client.get_run(run.run_id).info.status == "RUNNING", "this process is there"
        continue_killed(tracking, experiment, run, "another key")
        assert "continues" not in client.get_run(run.run_id).data.tags
        continue_killed(tracking, experiment, run, "k1")
    killed, after = client.get_run(lost[0]), client.get_run(run.run_id)
    assert (killed.info.status, after.info.status) == ("KILLED", "FINISHED")
    assert (killed.data.tags["continued_by"], after.data.tags["continues"]) == (run.run_id, lost[0])
    assert killed.info.end_time == killed.data.to_proto().metrics[0].timestamp, "when it last said something"
    assert client.get_run(lost[1]).info.status == "KILLED"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_ends_as_its_block_does(workspace: Workspace, name: str, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), workspace.tracking.run(f"{name}/text", "train", tags={}) as run:
        raise error
    assert workspace.tracking._client().get_run(run.run_id).info.status == status


def test_a_run_shows_what_it_read(workspace: Workspace, name: str) -> None:
    collection = Collection.model_validate(
        {
            "name": name, "source": {"kind": "file", "path": "rows.jsonl", "id": "id"},
            "fields": {"text": "text", "kind": "category"},
            "spaces": {"text": {"fields": ["text"], "train": {"objective": "classification", "labels": "kind"}}},
        }
    )  # fmt: skip
    splits = {"train": 5, "validation": 2, "test": 3}
    pairs = [
        Pair("", f"{name} {split} {n}", f"g{n}", split, f"[{n}]", f"kind {n % 2}")  # type: ignore[arg-type]
        for split, count in splits.items()
        for n in range(count)
    ]
    training_set = TrainingSet(pairs_digest(pairs), tuple(pairs), {"rows": 12, "no_label": 2, **splits})
    workspace.training_sets.save(name, "text", "declared", training_set)
    inputs = dataset_inputs(workspace.database, collection, "text", training_set)
    with workspace.tracking.run(f"{name}/text", "train", tags={}) as run:
        log_inputs(run, inputs)
    logged = workspace.tracking._client().get_run(run.run_id).inputs.dataset_inputs
    contexts = {one.dataset.name: one.tags[0].value for one in logged}
    assert contexts == {
        f"{name}/text train": "training", f"{name}/text validation": "validation", f"{name}/text test": "test",
    }  # fmt: skip
    for one in logged:
        split = one.dataset.name.rpartition(" ")[2]
        profile = json.loads(one.dataset.profile)
        assert training_set.digest.startswith(one.dataset.digest) and len(one.dataset.digest) == 36
        assert (profile["num_rows"], profile["labels"]) == (splits[split], 2)
        assert (split == "train") == ("no_label" in profile)
        assert not set(splits) & set(profile), "how many there are of each split is the splits' own"
        with workspace.database.connect() as connection:
            found = connection.execute(json.loads(one.dataset.source)["uri"]).fetchall()
        assert found == [(pair.document, pair.label) for pair in training_set.split(split)]


def test_the_page_leads_back_to_dagster(name: str) -> None:
    collection = Collection.model_validate(
        {
            "name": name, "source": {"kind": "postgres", "table": name}, "fields": {"text": "text"},
            "spaces": {"text": {"fields": ["text"]}},
        }
    )  # fmt: skip
    tags = {"dagster/run_id": "abc-1", "dagster/run_url": "http://127.0.0.1:3000/runs/abc-1"}
    training_set = TrainingSet("d" * 64, (), {})
    shown = page_tags(tags, collection, "text", training_set, "k" * 64)
    assert "[Dagster run abc](http://127.0.0.1:3000/runs/abc-1)" in shown["mlflow.note.content"]
    assert (shown["training_key"], shown["training_set"]) == ("k" * 64, "d" * 64)
    untrained = page_tags({}, collection, "text")
    assert "Untrained" in untrained["mlflow.note.content"] and "training_key" not in untrained


def test_aliases_name_base_candidate_and_champion(workspace: Workspace, name: str, tmp_path: Path) -> None:
    tracking, model = workspace.tracking, f"{name}.text"
    (tmp_path / "config.json").write_text("{}")
    with tracking.run(f"{name}/text", "train", tags={}) as run:
        run.artifact(tmp_path, folder="checkpoint")
        base = tracking.register_base(run, model, tmp_path, "d0")
        assert tracking.register_base(run, model, tmp_path, "d0") == base, "known: no second version"
        first = tracking.register(run, model, "checkpoint", tags={"checkpoint": "d1"})
        second = tracking.register(run, model, "checkpoint", tags={"checkpoint": "d2"})
    tracking.set_champion(model, first)
    assert [tracking.aliased(model, one) for one in ("base", "candidate", "champion")] == [base, second, first]
    tracking.set_candidate(model, first)
    assert tracking.aliased(model, "candidate") == first and tracking.aliased(model, "nobody") is None
    assert tracking.model_folder(f"models:/{model}@base") == tmp_path
    assert (tracking.model_folder(f"models:/{model}@candidate") / "config.json").is_file()
    assert tracking.register_base(run, model, tmp_path, "d3") != base
