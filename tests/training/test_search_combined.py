"""Searches and layers beside the other ways to learn: what is chosen is what a run of its own gives."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from killed import training_set
from runlog import MemoryLog

from vector_assets.encoder import ContractSettings, read_contract
from vector_assets.encoder.text.layers import mix_weights
from vector_assets.errors import EncoderError
from vector_assets.records import TrainingSet
from vector_assets.spec import Search, Training
from vector_assets.training import Trained, train
from vector_assets.training.network import Network
from vector_assets.training.optimizing import HEAD_TIMES, Optimizer
from vector_assets.training.search import search
from vector_assets.training.student import cut_layers

COMMON: dict[str, Any] = {
    "trainable": "last_1", "learning_rate": 1e-4, "batch_size": 16, "evaluations_per_epoch": 1, "patience": 3,
    "max_epochs": 2,
}  # fmt: skip


@contextmanager
def _opened(number: int, name: str) -> Iterator[MemoryLog]:
    yield MemoryLog()


def _both(
    examples: TrainingSet, training: Training, base: Path, folder: Path, settings: ContractSettings
) -> tuple[Trained, Trained]:
    """Search, and train once with the best settings."""
    found = search(
        examples, training, base, destination=folder / "checkpoints", unfinished=folder / "unfinished",
        log=MemoryLog(), base_log=MemoryLog(), open_trial=_opened, settings=settings,
    )  # fmt: skip
    assert found.searched and [one.state for one in found.searched.trials] == ["complete"] * 2
    best = training.model_copy(update={"search": None, **found.searched.settings})
    alone = train(
        examples, best, base, destination=folder / "alone", log=MemoryLog(), base_log=MemoryLog(), settings=settings
    )  # fmt: skip
    return found, alone


@pytest.mark.parametrize(
    ("what", "settings"),
    [
        (
            {"pairs": "given", "pretrain": {"objective": "dropout_pairs", "batch_size": 16}, "matryoshka": [8]},
            ContractSettings(dims=16, layer=2),
        ),
        ({"pairs": "given", "pretrain": {"objective": "denoising", "batch_size": 16}}, ContractSettings()),
        ({"objective": "denoising", "trainable": "all"}, ContractSettings()),
        ({"objective": "classification", "labels": "kind", "head": {"processes": 2}}, ContractSettings(layer="mix")),
    ],
    ids=["pretrained, widths, layer", "denoising first", "denoising", "split head on a mix"],
)
def test_the_best_of_a_search_is_what_a_run_of_its_own_gives(
    what: dict[str, Any], settings: ContractSettings, base: Path, tmp_path: Path
) -> None:
    tried = Search(trials=2, learning_rate=[1e-3, 5e-3], pruner="none")
    training = Training.model_validate({**COMMON, **what, "search": tried})
    found, alone = _both(training_set("labels" in what), training, base, tmp_path, settings)
    assert found.searched and found.searched.best is not None
    assert found.checkpoint.digest == alone.checkpoint.digest and found.searched.key == alone.key
    assert (found.test, found.base_test, found.validation) == (alone.test, alone.base_test, alone.validation)
    assert [step.stage for step in found.history.steps] == [step.stage for step in alone.history.steps]
    contract = read_contract(found.checkpoint.folder)
    assert contract.dims == (settings.dims or 32) and contract.layer == (settings.layer or -1)
    assert ("mrr@10_dims_8" in found.test) == bool(training.matryoshka)


def test_weights_of_layers_learn_as_fast_as_a_head(base: Path, tmp_path: Path) -> None:
    examples = training_set(False)
    training = Training.model_validate({**COMMON, "pairs": "given", "learning_rate": 1e-2, "trainable": "mix"})
    found = train(
        examples, training, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog(),
        settings=ContractSettings(layer="mix"),
    )  # fmt: skip
    network = Network(found.base.folder, trainable="last_1")
    groups = Optimizer(network.parameters(), None, rate=1e-3, quick=network.scalars()).state_dict()["param_groups"]
    assert [group["times"] for group in groups] == [1, HEAD_TIMES] and len(groups[1]["params"]) == 1
    assert len(groups[0]["params"]) == len(network.parameters()) - 1
    weights = mix_weights(found.checkpoint.folder)
    assert found.improved and weights and max(weights) > min(weights)


def test_a_mix_is_neither_cut_nor_rebuilt_from(base: Path, tmp_path: Path) -> None:
    settings = ContractSettings(layer="mix")
    none = Training.model_validate({**COMMON, "pairs": "given", "trainable": "none", "search": Search(layer=["mix"])})
    mix = train(
        training_set(False), none, base, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog(), settings=settings
    )  # fmt: skip
    with pytest.raises(EncoderError, match=r"a mix of all its layers.*leave train\.layers out"):
        cut_layers(mix.base.folder, 2, tmp_path / "student")
    rebuilt = Training.model_validate({**COMMON, "objective": "denoising"})
    with pytest.raises(EncoderError, match="denoising rebuilds texts from one layer; expected dropout_pairs"):
        train(
            training_set(False), rebuilt, mix.base.folder, destination=tmp_path, log=MemoryLog(), base_log=MemoryLog()
        )
