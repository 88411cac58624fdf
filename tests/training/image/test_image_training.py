"""Training of an image encoder from labels: it learns, is stored, and a run that was cut off ends as a whole one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from runlog import MemoryLog
from safetensors.torch import load_file

from vector_assets.encoder.image.checkpoint import ImageSettings
from vector_assets.encoder.image.encoder import ImageEncoder
from vector_assets.records import TrainingSet
from vector_assets.spec import Training
from vector_assets.training import Progress, Trained, resume_of, train, training_key


def declared(objective: str, **more: Any) -> Training:
    return Training.model_validate(
        {
            "objective": objective, "labels": "label", "trainable": "all", "learning_rate": 3e-3, "batch_size": 24,
            "max_epochs": 4, "evaluations_per_epoch": 1, "patience": 9, "max_validation": 99, **more,
        }
    )  # fmt: skip


def learn(base: Path, drawn: TrainingSet, training: Training, folder: Path, **more: Any) -> Trained:
    return train(
        drawn, training, base, destination=folder, log=more.pop("log", MemoryLog()), base_log=MemoryLog(),
        settings=ImageSettings(), **more,
    )  # fmt: skip


@pytest.mark.parametrize("objective", ["classification", "triplet", "arcface"])
def test_every_objective_over_labels_learns_and_is_stored(
    objective: str, vision: Path, drawn: TrainingSet, tmp_path: Path
) -> None:
    log = MemoryLog()
    found = learn(vision, drawn, declared(objective), tmp_path, log=log)
    assert found.improved and found.test["mrr@10"] > found.base_test["mrr@10"] + 0.1
    assert found.checkpoint.contract == found.base.contract
    assert log.logged_params["pooling"] == "pooler" and log.logged_params["bfloat16"] is False
    assert {name for _, name in log.artifacts} >= {"report.json", "curves.png", "vectors.png"}
    assert (found.head is None) == (objective == "triplet")
    assert drawn.images is not None
    images = [(drawn.images / pair.document).read_bytes() for pair in drawn.split("test")]
    served = ImageEncoder(found.checkpoint.folder).encode_documents(images).vectors
    assert (served @ served.T).shape == (24, 24)  # its canaries were computed, and its files are whole


def test_frozen_stages_are_bit_equal_in_the_stored_model(vision: Path, drawn: TrainingSet, tmp_path: Path) -> None:
    found = learn(vision, drawn, declared("triplet", trainable="last_1"), tmp_path)
    before, after = (
        load_file(one.folder / "model.safetensors") for one in (found.base, found.checkpoint)
    )  # fmt: skip
    changed = {name for name in before if not before[name].equal(after[name])}
    assert before.keys() == after.keys()
    assert changed and all("encoder.stages.1." in name for name in changed)
    assert any("running_var" in name for name in changed)


def test_the_head_alone_leaves_the_encoder(vision: Path, drawn: TrainingSet, tmp_path: Path) -> None:
    found = learn(vision, drawn, declared("classification", trainable="head", max_epochs=2), tmp_path)
    assert found.checkpoint.digest == found.base.digest and found.head is not None


class CutOff(Exception):
    """The run ended here."""


def test_a_run_that_was_cut_off_ends_bit_equal(
    vision: Path, drawn: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vector_assets.training.resume.Resume.is_due", property(lambda self: True))
    augment = {"tilt": 15, "shift": 0.1, "zoom": 0.1, "rotations": True}
    training = declared("arcface", augment=augment, max_epochs=2, evaluations_per_epoch=2, batch_size=48)
    whole = learn(vision, drawn, training, tmp_path / "whole")

    def cut(now: Progress) -> None:
        if now.step == 5:
            raise CutOff

    places = {"resume_folder": tmp_path / "unfinished"}
    with pytest.raises(CutOff):
        learn(vision, drawn, training, tmp_path / "cut", progress=cut, **places)
    log = MemoryLog()
    ended = learn(vision, drawn, training, tmp_path / "cut", log=log, **places)
    assert ended.history.resumed_at == 5
    assert [step.loss for step in ended.history.steps] == [step.loss for step in whole.history.steps]
    assert ended.improved and ended.checkpoint.digest == whole.checkpoint.digest
    assert ended.head and whole.head and ended.head.read_bytes() == whole.head.read_bytes()
    resume_of(tmp_path / "unfinished", ended.key).clear()


def test_augmentation_is_part_of_the_key_and_of_what_is_learned(
    vision: Path, drawn: TrainingSet, tmp_path: Path
) -> None:
    plain = declared("triplet", max_epochs=1)
    moves, turns = declared("triplet", max_epochs=1, augment={"tilt": 15}), {"rotations": True}
    keys = {training_key("set", one, "base", ImageSettings()) for one in (plain, moves)}
    assert len(keys) == 2
    found = [learn(vision, drawn, one, tmp_path) for one in (plain, moves)]
    assert found[0].history.steps[0].loss != found[1].history.steps[0].loss
    turned = learn(vision, drawn, declared("triplet", max_epochs=1, augment=turns), tmp_path)
    assert len(turned.history.steps) == 4 * len(found[0].history.steps)
