"""Training of an image encoder from labels: it learns, is stored, and a run that was cut off ends as a whole one."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from runlog import MemoryLog
from safetensors.torch import load_file

from vector_assets.encoder.image.checkpoint import ImageSettings
from vector_assets.encoder.image.encoder import ImageEncoder
from vector_assets.records import TrainingSet
from vector_assets.spec import Training
from vector_assets.training import Progress, Trained, pairs_digest, resume_of, train, training_key
from vector_assets.training.objectives.views import nt_xent
from vector_assets.training.search import search


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


def test_images_are_learned_from_before_their_labels_and_a_run_cut_off_there_ends_bit_equal(
    vision: Path, drawn: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Views of the images alone come first; labelled ones are few, the others are read without their label."""
    monkeypatch.setattr("vector_assets.training.resume.Resume.is_due", property(lambda self: True))
    train_pairs = drawn.split("train")
    few = [pair for place, pair in enumerate(train_pairs) if place % 8 < 2]
    alone = [replace(pair, split="unlabelled", label="") for place, pair in enumerate(train_pairs) if place % 8 >= 2]
    pairs = (*few, *alone, *drawn.split("validation"), *drawn.split("test"))
    half = TrainingSet(pairs_digest(pairs), pairs, {}, drawn.images)
    first = {"objective": "views", "epochs": 6, "batch_size": 48, "learning_rate": 3e-3}
    training = declared("triplet", augment={"tilt": 10, "shift": 0.08, "zoom": 0.1}, max_epochs=2, pretrain=first)
    log = MemoryLog()
    whole = learn(vision, half, training, tmp_path / "whole", log=log)
    stages = [step.stage for step in whole.history.steps]
    assert stages.count("pretrain") == 6 * 2 and stages[12:] == ["train"] * (len(stages) - 12)
    losses = [step.loss for step in whole.history.steps[:12]]
    assert min(losses[-2:]) < 0.9 * losses[0], "views of one image come together"
    assert (
        log.logged_params["objective_pretrain_objective"] == "views"
        and log.logged_params["objective_pretrain_texts"] == 96
    )

    def cut(now: Progress) -> None:
        if now.step == 7:
            raise CutOff

    places = {"resume_folder": tmp_path / "unfinished"}
    with pytest.raises(CutOff):
        learn(vision, half, training, tmp_path / "cut", progress=cut, **places)
    ended = learn(vision, half, training, tmp_path / "cut", **places)
    assert ended.history.resumed_at == 7 and ended.checkpoint.digest == whole.checkpoint.digest
    assert [step.loss for step in ended.history.steps] == [step.loss for step in whole.history.steps]


def test_nt_xent_is_its_formula() -> None:
    """Written out over all pairs; what two views of one image have alone is told apart from all others."""
    import torch

    first, second = torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(3))
    rows = torch.nn.functional.normalize(torch.cat([first, second]), dim=1).tolist()

    def likeness(one: int, other: int) -> float:
        return math.exp(sum(a * b for a, b in zip(rows[one], rows[other], strict=True)) / 0.5)

    losses = [
        -math.log(likeness(i, (i + 5) % 10) / sum(likeness(i, k) for k in range(10) if k != i)) for i in range(10)
    ]
    assert float(nt_xent(first, second, 0.5)) == pytest.approx(sum(losses) / 10, abs=1e-5)


def test_settings_of_an_encoder_of_images_are_searched(vision: Path, drawn: TrainingSet, tmp_path: Path) -> None:
    """The declared settings first, which hardly learn; the best is what a run of its own gives."""
    training = declared(
        "triplet", learning_rate=1e-7, max_epochs=2, search={"trials": 3, "learning_rate": [1e-3, 1e-2]},
    )  # fmt: skip
    logs = {number: MemoryLog() for number in range(3)}

    @contextmanager
    def opened(number: int, name: str) -> Iterator[MemoryLog]:
        yield logs[number]

    found = search(
        drawn, training, vision, destination=tmp_path / "checkpoints", unfinished=tmp_path / "unfinished",
        log=MemoryLog(), base_log=MemoryLog(), open_trial=opened, settings=ImageSettings(),
    )  # fmt: skip
    assert found.searched and found.searched.best and found.improved
    assert [one.state for one in found.searched.trials] == ["complete"] * 3
    alone = training.model_copy(update={"search": None, "learning_rate": found.searched.settings["learning_rate"]})
    assert learn(vision, drawn, alone, tmp_path / "alone").checkpoint.digest == found.checkpoint.digest
