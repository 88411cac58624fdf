"""A whole run: both arms stored, compared, reported; and the key that names it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from runlog import MemoryLog

from vector_assets.encoder import ContractSettings, check_canaries, differences, load_encoder, read_contract, require
from vector_assets.records import Pair, TrainingSet
from vector_assets.spec import FieldPairs, LabelsFile, Pretraining, Training
from vector_assets.training import Trained, key, pairs_digest, store_base, train, training_key
from vector_assets.training.retrieval import judge, pool_of


@pytest.fixture(scope="module")
def logs() -> tuple[MemoryLog, MemoryLog]:
    return MemoryLog(), MemoryLog()


@pytest.fixture(scope="module")
def trained(
    keywords: TrainingSet, base: Path, logs: tuple[MemoryLog, MemoryLog], tmp_path_factory: pytest.TempPathFactory
) -> Trained:
    training = Training(
        pairs="pairs.jsonl", trainable="last_2", learning_rate=3e-3, batch_size=24, evaluations_per_epoch=1,
        patience=4, max_epochs=6,
    )  # fmt: skip
    return train(
        keywords, training, base, destination=tmp_path_factory.mktemp("checkpoints"), log=logs[0], base_log=logs[1],
        settings=ContractSettings(max_tokens=16),
    )  # fmt: skip


def test_both_arms_are_stored_and_only_weights_tell_them_apart(trained: Trained) -> None:
    assert trained.improved and trained.checkpoint.folder.name == trained.checkpoint.digest
    assert trained.checkpoint.folder.parent == trained.base.folder.parent
    assert differences(read_contract(trained.checkpoint.folder), read_contract(trained.base.folder)) == []
    assert read_contract(trained.base.folder).max_tokens == 16
    for checkpoint in (trained.checkpoint, trained.base):
        require(check_canaries(load_encoder(checkpoint.folder), checkpoint.canaries))


def test_the_test_scores_are_those_of_the_stored_checkpoints(trained: Trained, keywords: TrainingSet) -> None:
    pool = pool_of(keywords.split("test"))
    for checkpoint, wanted in ((trained.checkpoint, trained.test), (trained.base, trained.base_test)):
        encoder = load_encoder(checkpoint.folder)
        queries = encoder.encode_queries([query.text for query in pool.queries])
        found = judge(pool, queries, encoder.encode_documents(pool.documents).vectors)
        assert found.metrics == pytest.approx(dict(wanted)) and checkpoint.metrics == wanted
    assert trained.comparison.new == pytest.approx(trained.test["mrr@10"])
    assert trained.comparison.old == pytest.approx(trained.base_test["mrr@10"])
    assert trained.comparison.low > 0 and trained.test["mrr@10"] > 0.8


def test_both_runs_are_logged(trained: Trained, logs: tuple[MemoryLog, MemoryLog], keywords: TrainingSet) -> None:
    log, base_log = logs
    assert log.logged_params["training_set"] == keywords.digest and log.logged_params["frozen_layers"] == 1
    assert log.logged_tags == {
        "training_key": trained.key, "arm": "tuned", "checkpoint": trained.checkpoint.digest,
        "best_step": str(trained.history.best_step),
    }  # fmt: skip
    assert len(log.series("train/loss")) == len(trained.history.steps)
    assert log.series("test/mrr_at_10") == [(trained.history.best_step, trained.test["mrr@10"])]
    assert base_log.series("test/mrr_at_10") == [(0, trained.base_test["mrr@10"])]
    assert base_log.series("validation_best/mrr_at_10") == [(0, trained.base_validation["mrr@10"])]
    assert base_log.logged_tags["arm"] == "base"
    assert log.artifacts == [("report", name) for name in ("vectors.png", "curves.png", "report.json")]


def test_the_report_holds_picture_and_numbers(trained: Trained) -> None:
    *pictures, numbers = trained.report
    assert [picture.name for picture in pictures] == ["vectors.png", "curves.png"]
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG") and picture.stat().st_size > 5000
    found = json.loads(numbers.read_text())
    assert found["best_step"] == trained.history.best_step and len(found["steps"]) == len(trained.history.steps)
    assert found["test"]["metric"] == "mrr@10"


def test_the_base_itself_is_returned_where_it_is_best(
    solved: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    bad = training.model_copy(update={"patience": 1})
    found = train(solved, bad, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog())
    assert not found.improved and found.checkpoint == found.base and found.history.best_step == 0
    assert (found.comparison.difference, found.comparison.p) == (0.0, 1.0)
    assert "vectors.png" not in {path.name for path in found.report}, "nothing moved"
    assert [path.name for path in tmp_path.iterdir() if path.name != "reports"] == [found.base.digest]


def test_a_second_run_gives_the_same_checkpoint(
    keywords: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    short = training.model_copy(update={"max_epochs": 1})
    found = [
        train(keywords, short, base, destination=tmp_path / name, log=MemoryLog(), base_log=MemoryLog())
        for name in ("first", "second")
    ]
    assert found[0].checkpoint.digest == found[1].checkpoint.digest and found[0].key == found[1].key
    stored = store_base(keywords, short, base, tmp_path / "first")
    assert found[0].key == training_key(keywords.digest, short, stored.digest)


def test_the_key_changes_with_each_ingredient(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ContractSettings(max_tokens=64)
    keys = [
        training_key("set", training, "base", settings),
        training_key("other set", training, "base", settings),
        training_key("set", training, "other base", settings),
        training_key("set", training, "base", ContractSettings(max_tokens=128)),
        training_key("set", training, "base", ContractSettings(max_tokens=64, query_prefix="q: ")),
        training_key("set", training, "base"),
    ]
    changes = {"trainable": "all", "learning_rate": 1e-4, "batch_size": 8, "patience": 9, "max_epochs": 3, "seed": 7}
    keys += [training_key("set", training.model_copy(update={k: v}), "base", settings) for k, v in changes.items()]
    keys.append(training_key("set", training, "base", ContractSettings(max_tokens=64, revision=1)))
    same = training.model_copy(update={"pairs": "moved.jsonl"})
    assert training_key("set", same, "base", settings) == keys[0]
    monkeypatch.setattr(key, "CODE_VERSION", "next")
    keys.append(training_key("set", training, "base", settings))
    assert len(set(keys)) == len(keys)


def test_keys_of_earlier_declarations_are_what_they_were() -> None:
    """Computed before there were labels and LoRA: else every known checkpoint would be trained again."""
    first = Training(pairs="pairs.jsonl")
    second = Training(
        pairs=FieldPairs(query="q"), trainable="last_3", learning_rate=1e-4, batch_size=32, learn_tokens=64,
        patience=3, seed=5, max_epochs=2,
    )  # fmt: skip
    assert training_key("set", first, "base") == "3b4c611e75af1855af8c1a6956ffd252ed5af11e8b517cd3487d0410ea88df80"
    settings = ContractSettings(max_tokens=128, query_prefix="q: ")
    wanted = "fa00c0e658ab7cdb571e2c71beba31f4406796d1cb3424e92bcb035b7f00e2bb"
    assert training_key("set", second, "base", settings) == wanted
    assert training_key("set", second.model_copy(update={"max_gap": 0.5}), "base", settings) == wanted
    pairs = [Pair("q", "d", "g", "train", "[1]"), Pair("é", "d2", "g2", "test")]
    assert pairs_digest(pairs) == "11e1901ea725b4b0b937f64cec97c210411085d3fc04ebd395daa376b28ea7e4"


def test_a_key_changes_where_what_the_code_gives_has_changed_and_nowhere_else() -> None:
    """Pretraining was given another patience: what was trained before that is not what is asked for now."""
    before = "dc6ca7e983e699bf9997adfe401479c2cc286fd474238126c9875923fcfda4d6"
    pretrained = Training(pairs="p", pretrain=Pretraining(objective="denoising"))
    assert training_key("set", pretrained, "base") != before
    plain = "3b4c611e75af1855af8c1a6956ffd252ed5af11e8b517cd3487d0410ea88df80"
    assert training_key("set", Training(pairs="p"), "base") == plain


def test_the_key_covers_objective_and_rank_and_not_where_labels_come_from() -> None:
    plain = Training(objective="triplet", labels="kind")
    keys = [
        training_key("set", Training(pairs="p"), "base"),
        training_key("set", plain, "base"),
        training_key("set", plain.model_copy(update={"objective": "arcface"}), "base"),
        training_key("set", plain.model_copy(update={"trainable": "lora"}), "base"),
        training_key("set", plain.model_copy(update={"trainable": "lora", "lora_rank": 4}), "base"),
    ]
    assert len(set(keys)) == len(keys)
    moved = plain.model_copy(update={"labels": LabelsFile(file="moved.jsonl")})
    assert training_key("set", moved, "base") == keys[1]


def test_retrieval_by_hand() -> None:
    pairs = [Pair("q1", "d1", "", "test"), Pair("q1", "d2", "", "test"), Pair("q2", "d1", "", "test")]
    pool = pool_of(pairs)
    assert [dict(query.relevant) for query in pool.queries] == [
        {"00000000": 1.0, "00000001": 1.0}, {"00000000": 1.0},
    ]  # fmt: skip
    documents = np.array([[1, 0], [0, 1]], np.float32)
    found = judge(pool, np.array([[0, 1], [0.6, 0.8]], np.float32), documents)
    assert found.each.tolist() == [1.0, 0.5]
    tie = judge(pool, np.array([[1, 1], [1, 1]], np.float32), documents)
    assert tie.each.tolist() == [1.0, 1.0]  # equal documents by id: the first comes first
