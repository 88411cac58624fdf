"""Mined negatives, pretraining, widths and students through all assets, as YAML declares them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from materialized import TO_LIVE, ProjectRuns, mlflow_runs, project_runs
from project import ROWS, change_rows, declare_training, write_project

from vector_assets.errors import ContractMismatch, UserError
from vector_assets.spec.load import load_collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.training import settle_encoder
from vector_assets.stores.training_sets import draw_training_set
from vector_assets.stores.workspace import Workspace

SHARED = """
        split: {by: group, validation: [g8], test: [g9]}
        trainable: %s
        batch_size: 16
        max_epochs: 1
        evaluations_per_epoch: 1
        learning_rate: 0.001"""
PAIRS = """
      dims: 16
      train:
        pairs: {query: ask}
        negatives: {mined: 2}
        matryoshka: [24, 8]
        pretrain: {objective: dropout_pairs, texts: 100, batch_size: 16}"""


def _declare(folder: Path, train: str, trainable: str = "last_1") -> None:
    declare_training(folder, train + SHARED % trainable)


@pytest.fixture(scope="module")
def mixed(
    workspace: Workspace, session_home: Path, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProjectRuns]:
    folder = write_project(tmp_path_factory.mktemp("learned"), "mixed", tiny_model)
    change_rows(folder, lambda number, row: row | {
        "ask": row["ask"] if number % 7 else None, "text": f"{row['text']} g{number % 29} h{number % 23}",
    })  # fmt: skip
    _declare(folder, PAIRS)
    with project_runs(workspace, folder, *TO_LIVE) as found:
        yield found


def test_all_stages_say_what_was_done(mixed: ProjectRuns, workspace: Workspace) -> None:
    first = mixed.first
    assert first.success
    drawn, encoder = first.metadata["training_set"], first.metadata["encoder"]
    assert (drawn["mined_by_base"], drawn["mined_vectors_read"]) == (1, 0)
    assert drawn["mined"] > 100 and "mined_by_generation" not in drawn  # type: ignore[operator]
    asked = sum(n % 7 != 0 for n in range(ROWS) if n % 10 not in (8, 9))
    assert (drawn["train"], drawn["unlabelled"]) == (asked, ROWS - 30 - asked)
    widths = [dict(record.data) for record in encoder["matryoshka"].records]  # type: ignore[attr-defined]
    assert [row["dims"] for row in widths] == [16, 8]
    assert first.metadata["embeddings"]["dims"] == 16 and first.metadata["index"]["action"] == "promoted"
    assert all(first.checks[name] for name in ("dims_and_norm", "canaries", "recall"))
    runs = mlflow_runs(workspace, "mixed/text")
    run = next(run for run in runs if run.info.run_name.startswith("train"))
    base = next(run for run in runs if run.info.run_name.startswith("base"))
    wanted = {"pretrain/loss", "train/loss", "test/mrr_at_10_dims_8", "validation/mrr_at_10_dims_8"}
    assert wanted <= set(run.data.metrics) and "test/mrr_at_10_dims_8" in base.data.metrics
    assert run.data.params["objective_pretrain_objective"] == "dropout_pairs"
    assert run.data.params["objective_pretrain_texts"] == "100"


def test_search_answers_in_the_declared_dims(mixed: ProjectRuns, workspace: Workspace) -> None:
    engine = workspace.search("mixed")
    row = json.loads((mixed.folder / "rows.jsonl").read_text().splitlines()[33])
    hits = engine.search(row["text"], k=3)
    assert hits.hits[0].id == "r033" and hits.hits[0].score == pytest.approx(1, abs=1e-3)
    assert engine.encode(engine.reader.live("mixed"), ["a1"]).shape == (1, 16)


def test_once_something_is_live_it_chooses_the_negatives(mixed: ProjectRuns, workspace: Workspace) -> None:
    known = draw_training_set(workspace, mixed.collection, "text", refresh=False)
    found = draw_training_set(workspace, mixed.collection, "text", refresh=True)
    assert not known.drawn and found.drawn
    report = found.training_set.report
    assert report["mined_by_generation"] == 1 and "mined_by_base" not in report
    assert report["mined_vectors_read"] > 0 and report["mined_vectors_made"] == 0
    kept = workspace.training_sets.get(found.training_set.digest)
    assert kept.pairs == found.training_set.pairs and any(pair.negatives for pair in kept.pairs)
    train = {pair.document for pair in kept.split("train")}
    held_out = {pair.document for name in ("validation", "test") for pair in kept.split(name)}  # type: ignore[arg-type]
    unlabelled = {pair.document for pair in kept.split("unlabelled")}
    mined = {text for pair in kept.pairs for text in pair.negatives}
    for pair in kept.pairs:
        assert set(pair.negatives) <= (train | unlabelled) - held_out - {pair.document}
    # Rows that no pair names are in the live index as well: every seventh row asks for nothing.
    assert 0 < report["mined_from_rows"] == len(unlabelled) and mined & unlabelled
    assert not {pair.document for pair in kept.split("unlabelled")} & (held_out | train)


def test_a_student_and_texts_alone_go_the_same_way(mixed: ProjectRuns, workspace: Workspace) -> None:
    teacher = workspace.checkpoints.encoder("mixed", "text")
    assert teacher
    workspace.checkpoints.set_encoder("elsewhere", "text", teacher)
    _declare(mixed.folder, """
      train:
        objective: distillation
        teacher: collection:elsewhere/text
        layers: 1""", "all")  # fmt: skip
    mixed.reload()
    mixed.run("training_set")
    weights = workspace.checkpoints.get(teacher.checkpoint).folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + bytes([content[-4] ^ 1]) + content[-3:])
    runs = len(mlflow_runs(workspace, "mixed/text"))
    with pytest.raises(ContractMismatch, match=f"checkpoint {teacher.checkpoint[:12]} has other files .*has digest "):
        settle_encoder(workspace, mixed.collection, "text", tags={})
    assert len(mlflow_runs(workspace, "mixed/text")) == runs, "refused before a run begins"
    weights.write_bytes(content)
    student = mixed.run("training_set", "encoder")
    assert {"teacher_cosine", "speed_ratio", "test_recall@10", "base_test_recall@10"} <= set(
        student.metadata["encoder"]
    )
    assert student.versions["encoder"] != teacher.checkpoint
    stored = workspace.checkpoints.get(student.versions["encoder"])
    assert json.loads((stored.folder / "config.json").read_text())["num_hidden_layers"] == 1
    known = mixed.run("training_set", "encoder")
    assert known.metadata["encoder"]["trained_now"] is False and known.metadata["encoder"]["speed_ratio"]
    assert CollectionStore(workspace, mixed.collection).judged() == [], "made questions are not those of people"

    _declare(mixed.folder, """
      train:
        objective: dropout_pairs""")  # fmt: skip
    mixed.reload()
    alone = mixed.run("training_set", "encoder")
    assert alone.metadata["training_set"]["drawn"] is False, "the same texts, asked in the same way"
    assert alone.metadata["encoder"]["trained_now"] is True
    assert {"test_mrr@10", "base_test_mrr@10"} <= set(alone.metadata["encoder"])
    assert CollectionStore(workspace, mixed.collection).judged() == []


@pytest.mark.parametrize(
    ("teacher", "error"),
    [
        ("collection:mixed/text", "train.teacher: collection:mixed/text is the student itself"),
        ("collection:nothing/text", "train.teacher: collection:nothing/text has no checkpoint"),
    ],
)
def test_a_teacher_that_cannot_teach_is_refused(
    teacher: str, error: str, mixed: ProjectRuns, workspace: Workspace
) -> None:
    _declare(mixed.folder, f"""
      train:
        objective: distillation
        teacher: {teacher}""")  # fmt: skip
    collection = load_collection(mixed.folder / "defs.yaml")
    draw_training_set(workspace, collection, "text", refresh=False)
    with pytest.raises(UserError, match=error):
        settle_encoder(workspace, collection, "text", tags={})
