"""A space that learns from a file of pairs: its held-out pairs are the gate's questions, so it decides by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from materialized import TO_LIVE, ProjectRuns, project_runs
from project import declare_training, write_project

from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.workspace import Workspace

TRAIN = """
      train:
        pairs: pairs.jsonl
        split: {validation: 0.2, test: 0.2}
        trainable: all
        batch_size: 16
        max_epochs: 1
        evaluations_per_epoch: 1
        learning_rate: %s"""


@pytest.fixture(scope="module")
def paired(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = write_project(tmp_path_factory.mktemp("paired"), "paired", tiny_model)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    pairs = [{"query": row["ask"], "document": row["text"]} for row in rows]
    pairs[0]["id"], pairs[1]["id"] = "r000", "nobody"
    pairs.append({"query": "asked elsewhere of others", "document": "no row says this"})
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    declare_training(folder, TRAIN % 0.001)
    with project_runs(workspace, folder, *TO_LIVE) as found:
        yield found


def test_the_second_generation_is_decided_on_held_out_pairs(paired: ProjectRuns, workspace: Workspace) -> None:
    assert paired.first.metadata["training_set"]["unknown_row"] == 2
    assert paired.first.metadata["index"]["action"] == "promoted"
    store = CollectionStore(workspace, paired.collection)
    stored = workspace.checkpoints.encoder("paired", "text")
    assert stored and stored.training_set
    test = workspace.training_sets.get(stored.training_set).split("test")
    judged = store.judged()
    assert {query.text for query in judged} == {pair.query for pair in test if pair.key} and len(judged) > 5
    texts = dict(store.texts() or ())
    answers = {pair.query: pair.document for pair in test}
    assert all(
        texts[key] == answers[query.text] for query in judged if len(query.relevant) == 1 for key in query.relevant
    )

    declare_training(paired.folder, TRAIN % 0.002)
    paired.reload()
    second = paired.run(*TO_LIVE)
    assert second.metadata["encoder"]["trained_now"] is True
    newest = store.all()[0]
    assert newest.number == 2 and second.metadata["candidate"]["decision"] in ("promote", "keep")
    reason = str(second.metadata["candidate"]["reason"])
    assert f"over {len(judged)} queries" in reason and "synthetic" not in reason, "compared, question by question"
