"""Training as declared with a head in shards, a sample of its classes, or both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from runlog import MemoryLog

from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import ClassHead, Training
from vector_assets.training import Progress, Trained, pairs_digest, resume_of, train, training_key
from vector_assets.training import resume as resuming


@pytest.fixture(scope="module")
def kinds() -> TrainingSet:
    """Twelve labels, each told by one of two words among fillers."""
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    texts = [
        Pair("", f"c{(label * 7 + copy * 5 + number) % 30} {'ab'[copy % 2]}{label}", f"{split}", split, "", f"k{label}")
        for number, split in enumerate(splits)
        for label in range(12)
        for copy in range(20 if split == "train" else 4)
    ]  # fmt: skip
    return TrainingSet(pairs_digest(texts), tuple(texts), {})


def _training(objective: str, head: dict[str, object], **more: object) -> Training:
    return Training.model_validate({
        "objective": objective, "labels": "kind", "trainable": "last_2", "learning_rate": 3e-3, "batch_size": 24,
        "evaluations_per_epoch": 1, "patience": 9, "max_epochs": 4, "max_validation": 96, "head": head, **more,
    })  # fmt: skip


def _train(
    kinds: TrainingSet, training: Training, base: Path, folder: Path, **more: object
) -> tuple[Trained, MemoryLog]:
    log = MemoryLog()
    return train(kinds, training, base, destination=folder, log=log, base_log=MemoryLog(), **more), log  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objective", "head", "more"),
    [
        ("arcface", {"sample": 0.5, "start": "random"}, {}),
        ("classification", {"processes": 2}, {"trainable": "head", "max_epochs": 2, "learning_rate": 0.01}),
    ],
)
def test_it_learns_and_leaves_no_process(
    objective: str, head: dict[str, object], more: dict[str, object], kinds: TrainingSet, base: Path, tmp_path: Path
) -> None:
    before = {one.pid for one in psutil.Process().children()}
    found, log = _train(kinds, _training(objective, head, **more), base, tmp_path)
    losses = [value for _, value in log.series("train/loss")]
    if objective == "arcface":
        assert np.mean(losses[-5:]) < np.mean(losses[:5])
    else:  # what the head of one process does, step by step
        _, other = _train(kinds, _training(objective, {}, **more), base, tmp_path)
        assert losses == pytest.approx([value for _, value in other.series("train/loss")], abs=1e-3)
    assert found.head is not None and "accuracy" in found.test
    declared = ClassHead.model_validate(head).model_dump()
    assert {name: log.logged_params[f"objective_head_{name}"] for name in declared} == declared
    assert "head" not in log.logged_params
    if objective == "arcface":
        assert found.improved and found.comparison.difference > 0
    assert {one.pid for one in psutil.Process().children()} == before


@pytest.mark.usefixtures("pair")
def test_an_interrupted_run_ends_as_if_nothing_had_happened(
    kinds: TrainingSet, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards, moments and draws: all of it goes on. Kills are in test_sharded_head.py; this is what comes after."""
    training = _training("arcface", {"processes": 2, "sample": 0.5}, max_epochs=2)

    def outcome(found: Trained, log: MemoryLog) -> object:
        assert found.head is not None
        return found.checkpoint.digest, found.head.read_bytes(), log.series("train/loss"), found.test

    undisturbed = outcome(*_train(kinds, training, base, tmp_path / "one"))
    monkeypatch.setattr(resuming.Resume, "is_due", property(lambda _: True))

    def stop(at: Progress) -> None:
        if at.step == 13:
            raise InterruptedError

    unfinished = tmp_path / "unfinished"
    with pytest.raises(InterruptedError):
        _train(kinds, training, base, tmp_path / "two", resume_folder=unfinished, progress=stop)
    found, log = _train(kinds, training, base, tmp_path / "two", resume_folder=unfinished)
    assert found.history.resumed_at == 13
    assert outcome(found, log) == undisturbed
    resume_of(unfinished, found.key).clear()


def test_a_head_is_in_the_key_only_where_it_is_declared() -> None:
    plain = Training(objective="arcface", labels="kind")
    assert "head" not in plain.model_dump(exclude={"head"})
    known = training_key("set", plain, "base")
    assert known == training_key("set", _with(plain, ClassHead()), "base")
    others: list[dict[str, Any]] = [{"sample": 0.5}, {"processes": 2}, {"start": "means"}, {"start": "random"}]
    keys = {training_key("set", _with(plain, ClassHead(**one)), "base") for one in others}
    assert len(keys | {known}) == 5


def _with(training: Training, head: ClassHead) -> Training:
    return training.model_copy(update={"head": head})
