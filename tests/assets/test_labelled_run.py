"""A space that learns from labels, through all its assets: a field's labels, a file's labels, what is reused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from project import ROWS, write_project
from test_full_run import Papers

from vector_assets.assets import resources
from vector_assets.errors import SourceError, SpecError
from vector_assets.spec.load import load_collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.evaluating import evaluate_live
from vector_assets.stores.training_sets import draw_training_set
from vector_assets.stores.workspace import Workspace

LABELLED = """
      train:
        objective: {objective}
        labels: {labels}
        split: {{by: group, validation: [g8], test: [g9]}}
        trainable: {trainable}
        batch_size: 16
        max_epochs: 1
        evaluations_per_epoch: 1
        learning_rate: 0.001
        max_gap: {max_gap}
  index:"""


def _declare(
    folder: Path, objective: str, *, labels: str = "kind", trainable: str = "last_1", gap: float = 0.9
) -> None:
    text = (folder / "defs.yaml").read_text()
    before, after = text[: text.index("\n      train:")], text[text.index("\n  index:") :]
    train = LABELLED.format(objective=objective, labels=labels, trainable=trainable, max_gap=gap)
    (folder / "defs.yaml").write_text(before + train + after.removeprefix("\n  index:"))


@pytest.fixture(scope="module")
def kinds(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Papers]:
    folder = write_project(tmp_path_factory.mktemp("labelled"), "kinds", tiny_model)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    for number, row in enumerate(rows):
        row |= {"kind": f"kind {number % 24}" if number % 11 else None, "text": f"{row['text']} g{number % 29}"}
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    labels = [{"id": row["id"], "label": f"of {int(row['n']) % 2}"} for row in rows[5:]]
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)) + "\n")
    text = (folder / "defs.yaml").read_text().replace("group: category,", "group: category, kind: category,")
    (folder / "defs.yaml").write_text(text)
    _declare(folder, "classification", gap=0.0001)
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setattr(resources, "_workspace", lambda: workspace)
        found = Papers(folder, load_collection(folder / "defs.yaml"), instance)
        found.first = found.run("raw", "training_set", "encoder", "embeddings", "candidate", "index")
        yield found


def test_a_classification_goes_through_all_stages(kinds: Papers, workspace: Workspace) -> None:
    first = kinds.first
    assert first and first.success
    drawn, encoder = first.metadata["training_set"], first.metadata["encoder"]
    assert (drawn["rows"], drawn["no_label"], drawn["labels"]) == (ROWS, 14, 24)
    assert {record.data["label"] for record in drawn["examples"].records} <= {f"kind {n}" for n in range(24)}  # type: ignore[attr-defined]
    assert {"head_against_probe", "tuned_against_base", "confusion", "curves", "train_gap"} <= set(encoder)
    assert encoder["train_gap"] > 0.0001 and "too little data" in str(encoder["warning"])  # type: ignore[operator]
    assert first.metadata["candidate"]["decision"] == "promote" and first.metadata["index"]["action"] == "promoted"
    checkpoint = workspace.checkpoints.get(first.versions["encoder"])
    assert not [path for path in checkpoint.folder.iterdir() if "head" in path.name]
    unfinished = workspace.checkpoint_folder / ".unfinished"
    assert not unfinished.is_dir() or not list(unfinished.iterdir())
    client = workspace.tracking._client()
    experiment = client.get_experiment_by_name("kinds/text")
    assert experiment
    run = next(r for r in client.search_runs([experiment.experiment_id]) if r.info.run_name.startswith("train"))
    assert {"test/accuracy", "test/f1_macro", "test/mrr_at_10", "train_gap"} <= set(run.data.metrics)
    assert run.data.params["objective"] == "classification"
    names = {Path(one.path).name for one in client.list_artifacts(run.info.run_id, "report")}
    tables = {"classes.csv", "confusions.csv"}
    assert names - {"vectors.png"} == {"curves.png", "confusion.png", "report.json", "head.safetensors"} | tables
    assert tables == {f"{name}.csv" for name in ("classes", "confusions") if name in kinds.first.metadata["encoder"]}
    read = {one.dataset.name: json.loads(one.dataset.profile) for one in run.inputs.dataset_inputs}
    assert read["kinds/text train"]["labels"] == 24 and len(read) == 3


def test_held_out_labelled_texts_are_the_questions_of_the_gate(kinds: Papers, workspace: Workspace) -> None:
    assert kinds.first
    store = CollectionStore(workspace, kinds.collection)
    judged = store.judged()
    stored = workspace.checkpoints.encoder("kinds", "text")
    assert judged and stored and stored.training_set and store.trained() is not None
    test = {pair.key: pair for pair in workspace.checkpoints.training_set(stored.training_set).split("test")}
    for query in judged:
        assert query.among == frozenset(test) and query.text == test[query.own].document
        same = {key for key, pair in test.items() if pair.label == test[query.own].label}
        assert set(query.relevant) == same - {query.own} != set()
    first = kinds.first.metadata["candidate"]
    assert "| candidate | " in str(first["arms"])
    found = evaluate_live(store, method="vector")
    assert (found.method, found.queries) == ("exact", len(judged))
    assert found.scores["mrr@10"] == pytest.approx(first["search_mrr@10"], abs=1e-6)
    assert [arm.arm for arm in found.arms] == ["live", "bm25"]


def test_a_second_run_trains_nothing_and_another_objective_learns_from_the_same_set(
    kinds: Papers, workspace: Workspace
) -> None:
    assert kinds.first
    again = kinds.run("raw", "training_set", "encoder")
    assert (
        again.metadata["encoder"]["trained_now"] is False
        and again.versions["encoder"] == kinds.first.versions["encoder"]
    )
    assert {"head_against_probe", "confusion"} <= set(again.metadata["encoder"])
    _declare(kinds.folder, "arcface", trainable="lora")
    kinds.collection = load_collection(kinds.folder / "defs.yaml")
    other = kinds.run("training_set", "encoder")
    assert other.metadata["training_set"]["drawn"] is False and other.metadata["encoder"]["trained_now"] is True
    assert other.versions["training_set"] == kinds.first.versions["training_set"]
    assert "warning" not in other.metadata["encoder"]


def test_labels_of_a_file_name_rows_by_id(kinds: Papers, workspace: Workspace) -> None:
    _declare(kinds.folder, "triplet", labels="{file: labels.jsonl}")
    collection = load_collection(kinds.folder / "defs.yaml")
    drawn = draw_training_set(workspace, collection, "text", refresh=False)
    found = drawn.training_set
    assert drawn.drawn and found.report["no_label"] == 5 and found.report["labels"] == 2
    for pair in found.pairs:
        assert pair.label == f"of {int(json.loads(pair.key)[0][1:]) % 2}" and not pair.query
    assert {pair.group for pair in found.split("test")} == {"g9"}
    assert workspace.checkpoints.training_set(found.digest) == found
    path = kinds.folder / "labels.jsonl"
    whole = path.read_text()
    for line, error in (
        ('{"id": "nobody", "label": "of 1"}', r'row \["nobody"\] is not in kinds, nor are 0 others'),
        ('{"id": "r010", "label": "of 1"}', r"labels\.jsonl:146: row .* is labelled 'of 1' and 'of 0'"),
    ):
        path.write_text(whole + line + "\n")
        with pytest.raises(SourceError, match=error):
            draw_training_set(workspace, collection, "text", refresh=True)
    path.write_text("".join(json.dumps({"id": f"r{n:03}", "label": "one"}) + "\n" for n in range(ROWS)))
    with pytest.raises(SpecError, match=r"1 label in train \(one\); at least 2"):
        draw_training_set(workspace, collection, "text", refresh=True)
    path.write_text(whole)
