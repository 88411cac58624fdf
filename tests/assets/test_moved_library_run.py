"""A trained encoder whose library moved: refused, asked for anew by condition, another checkpoint, a person, live."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from materialized import TO_LIVE, project_runs
from moving import move_library
from project import write_project, write_rows

from vector_assets.assets.build import build_definitions
from vector_assets.errors import CanaryMismatch
from vector_assets.index.swap import promote
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.drift import retraining_due
from vector_assets.stores.workspace import Workspace

NAME = "movedlibrary"
REFRESH = {"ops": {f"training_set__{NAME}__text": {"config": {"refresh": True}}}}


def test_from_a_red_check_to_live(
    workspace: Workspace, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_project(tmp_path, NAME, tiny_model, extra="  drift: {retrain: true, cooldown: 1d}\n")
    with project_runs(workspace, folder, *TO_LIVE) as runs:
        before = runs.first.versions["encoder"]
        later = datetime.now(UTC) + timedelta(days=2)

        def asked() -> set[str]:
            defs = build_definitions(runs.collection)
            found = dg.evaluate_automation_conditions(defs=defs, instance=runs.instance, evaluation_time=later)
            keys = defs.get_repository_def().asset_graph.toposorted_asset_keys
            return {key.path[0] for key in keys if found.get_num_requested(key)}

        assert not {"training_set", "encoder"} & asked()
        move_library(monkeypatch)
        write_rows(folder / "rows.jsonl", changed={3: "b1 d2 e3"})
        assert not runs.run("raw", "embeddings", "candidate", "index", raises=False).success
        with pytest.raises(CanaryMismatch):
            workspace.search(NAME).search("a1", k=3)
        due = retraining_due(workspace.database, runs.collection, "text", now=later)
        assert due and f"stored with checkpoint {before[:12]}" in due.why
        assert {"training_set", "encoder"} <= asked()

        done = runs.run(*TO_LIVE, config=REFRESH)
        assert done.metadata["training_set"]["revision"] == 1 and done.metadata["encoder"]["trained_now"] is True
        assert done.versions["encoder"] != before
        assert done.metadata["candidate"]["decision"] == "needs_evaluation" and all(
            done.checks[name] for name in ("coverage", "dims_and_norm", "canaries", "recall")
        )
        assert done.metadata["index"]["action"] == "kept"
        assert retraining_due(workspace.database, runs.collection, "text", now=later) is None
        known = runs.run("training_set", "encoder")
        assert known.versions["encoder"] == done.versions["encoder"], "the revision stays what it is"

        store = CollectionStore(workspace, runs.collection)
        assert promote(store, store.catch_up, because="the library has moved").live.number == 2
        assert workspace.search(NAME).search("a1", k=3).hits
