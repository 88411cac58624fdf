"""A space that learns from labels, through all its assets: a field's labels, a file's labels, what is reused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from materialized import TO_LIVE, ProjectRuns, mlflow_runs, project_runs, training_run
from project import ROWS, change_rows, declare_training, write_project

from vector_assets.commands.evaluating import evaluated_json
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
        max_gap: {max_gap}"""


def _declare(
    folder: Path, objective: str, *, labels: str = "kind", trainable: str = "last_1", gap: float = 0.9
) -> None:
    declare_training(folder, LABELLED.format(objective=objective, labels=labels, trainable=trainable, max_gap=gap))


@pytest.fixture(scope="module")
def kinds(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = write_project(tmp_path_factory.mktemp("labelled"), "kinds", tiny_model)
    change_rows(folder, lambda number, row: row | {
        "kind": f"kind {number % 24}" if number % 11 else None, "text": f"{row['text']} g{number % 29}",
    })  # fmt: skip
    labels = [{"id": f"r{number:03}", "label": f"of {number % 2}"} for number in range(5, ROWS)]
    (folder / "labels.jsonl").write_text("\n".join(map(json.dumps, labels)) + "\n")
    text = (folder / "defs.yaml").read_text().replace("group: category,", "group: category, kind: category,")
    (folder / "defs.yaml").write_text(text)
    _declare(folder, "classification", gap=0.0001)
    text = (folder / "defs.yaml").read_text() + '  evaluation: {label_separator: " ", bm25_rows: 0}\n'
    (folder / "defs.yaml").write_text(text)
    with project_runs(workspace, folder, *TO_LIVE) as found:
        yield found


def test_a_classification_goes_through_all_stages(kinds: ProjectRuns, workspace: Workspace) -> None:
    first = kinds.first
    assert first.success
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
    run = training_run(workspace, "kinds/text")
    assert {"test/accuracy", "test/f1_macro", "test/mrr_at_10", "train_gap"} <= set(run.data.metrics)
    assert run.data.params["objective"] == "classification"
    names = {Path(one.path).name for one in workspace.tracking._client().list_artifacts(run.info.run_id, "report")}
    tables = {"classes.csv", "confusions.csv"}
    assert names - {"vectors.png"} == {"curves.png", "confusion.png", "report.json", "head.safetensors"} | tables
    assert tables == {f"{name}.csv" for name in ("classes", "confusions") if name in kinds.first.metadata["encoder"]}
    read = {one.dataset.name: json.loads(one.dataset.profile) for one in run.inputs.dataset_inputs}
    assert read["kinds/text train"]["labels"] == 24 and len(read) == 3


def test_held_out_labelled_texts_are_the_questions_of_the_gate(kinds: ProjectRuns, workspace: Workspace) -> None:
    store = CollectionStore(workspace, kinds.collection)
    judged = store.judged()
    stored = workspace.checkpoints.encoder("kinds", "text")
    assert judged and stored and stored.training_set and store.trained() is not None
    test = {pair.key: pair for pair in workspace.training_sets.get(stored.training_set).split("test")}
    for query in judged:
        assert query.among == frozenset(test) and query.text == test[query.own].document
        same = {key for key, pair in test.items() if pair.label == test[query.own].label}
        assert set(query.relevant) == same - {query.own} != set()
    first = kinds.first.metadata["candidate"]
    assert store.metric == "map", "what the gate decides by"
    assert "| candidate | " in str(first["arms"])
    found = evaluate_live(store, method="vector")
    assert (found.method, found.queries) == ("exact", len(judged))
    assert found.scores["mrr@10"] == pytest.approx(first["search_mrr@10"], abs=1e-6)
    assert [arm.arm for arm in found.arms] == ["live", "bm25"]


def test_labels_that_are_paths_are_scored_at_each_level(kinds: ProjectRuns, workspace: Workspace) -> None:
    # All labels are "kind N": at the first level every text is right.
    found = evaluate_live(CollectionStore(workspace, kinds.collection), method="vector")
    kind, number = found.levels["text"]
    assert (kind.level, kind.labels, kind.map, kind.chance) == (1, 1, pytest.approx(1.0), 1.0)
    assert number.level == 2 and number.queries == found.queries <= kind.queries
    assert number.map == pytest.approx(found.scores["map"], abs=1e-6) and number.chance < number.map <= 1
    shown = [record.data for record in kinds.first.metadata["candidate"]["label_levels_text"].records]  # type: ignore[attr-defined]
    assert [line["map"] for line in shown] == [1.0, pytest.approx(number.map, abs=1e-4)]
    (run,) = mlflow_runs(workspace, "kinds/candidates")
    assert run.data.metrics["label_levels/text/map"] == pytest.approx(number.map, abs=1e-6), "the last step"
    assert evaluated_json(found)["levels"]["text"][0] == {
        "level": 1, "labels": 1, "queries": kind.queries, "map": 1.0, "chance": 1.0
    }  # fmt: skip


def test_a_second_run_trains_nothing_and_another_objective_learns_from_the_same_set(
    kinds: ProjectRuns, workspace: Workspace
) -> None:
    again = kinds.run("raw", "training_set", "encoder")
    assert (
        again.metadata["encoder"]["trained_now"] is False
        and again.versions["encoder"] == kinds.first.versions["encoder"]
    )
    assert {"head_against_probe", "confusion"} <= set(again.metadata["encoder"])
    _declare(kinds.folder, "arcface", trainable="lora")
    kinds.reload()
    other = kinds.run("training_set", "encoder")
    assert other.metadata["training_set"]["drawn"] is False and other.metadata["encoder"]["trained_now"] is True
    assert other.versions["training_set"] == kinds.first.versions["training_set"]
    assert "warning" not in other.metadata["encoder"]


def test_labels_of_a_file_name_rows_by_id(kinds: ProjectRuns, workspace: Workspace) -> None:
    _declare(kinds.folder, "triplet", labels="{file: labels.jsonl}")
    collection = load_collection(kinds.folder / "defs.yaml")
    drawn = draw_training_set(workspace, collection, "text", refresh=False)
    found = drawn.training_set
    assert drawn.drawn and found.report["no_label"] == 5 and found.report["labels"] == 2
    for pair in found.pairs:
        assert pair.label == f"of {int(json.loads(pair.key)[0][1:]) % 2}" and not pair.query
    assert {pair.group for pair in found.split("test")} == {"g9"}
    assert workspace.training_sets.get(found.digest) == found
    path = kinds.folder / "labels.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"id": "nobody", "label": "of 1"}\n{"id": "r010", "label": "of 1"}\n')
    again = draw_training_set(workspace, collection, "text", refresh=True).training_set
    assert (again.report["unknown_row"], again.report["ambiguous"], again.report["no_label"]) == (1, 1, 5)
    assert {pair.key for pair in found.pairs} - {pair.key for pair in again.pairs} == {'["r010"]'}
    path.write_text('{"id": "nobody", "label": "of 1"}\n')
    with pytest.raises(SourceError, match=r"labels\.jsonl: none of the 1 rows that it names is in kinds"):
        draw_training_set(workspace, collection, "text", refresh=True)
    path.write_text("".join(json.dumps({"id": f"r{n:03}", "label": "one"}) + "\n" for n in range(ROWS)))
    with pytest.raises(SpecError, match=r"1 label in train \(one\); at least 2"):
        draw_training_set(workspace, collection, "text", refresh=True)
    path.write_text(whole)
