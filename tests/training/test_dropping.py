"""Dropout while learning: where it is on, what it changes and what not, what it does to keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from runlog import MemoryLog
from tiny import make_tiny_bert

from vector_assets.encoder import make_checkpoint
from vector_assets.errors import EncoderError, SpecError
from vector_assets.records import TrainingSet
from vector_assets.spec import Training
from vector_assets.training import training_key
from vector_assets.training.dropping import dropouts_in, dropping
from vector_assets.training.loop import fit
from vector_assets.training.network import Network
from vector_assets.training.scoring import Tokenize

if TYPE_CHECKING:
    import torch

KEY = ("set", "base")


def _key(training: Training) -> str:
    return training_key(KEY[0], training, KEY[1])


def _on(network: Network) -> list[torch.nn.Dropout]:
    import torch

    return [one for one in network.model.modules() if isinstance(one, torch.nn.Dropout) and one.training]


@pytest.mark.parametrize("trainable", ["last_1", "all", "lora"])
def test_it_is_on_inside_the_block_and_in_what_learns_alone(stored: Path, tokenize: Tokenize, trainable: str) -> None:
    import torch

    network = Network(stored, trainable=trainable)
    ids = tokenize(["a1 b2 c3", "d4"], False)
    found = network.dropouts()
    own = [one.p for one in found]
    with torch.no_grad():
        before = network.embed(ids)
        with dropping(found, 0.3):
            inside = _on(network)
            assert [id(module) for module in inside] == [id(module) for module in found]
            assert {module.p for module in inside} == {0.3}
            one, two = network.embed(ids), network.embed(ids)
        after = network.embed(ids)
    assert before.equal(after) and not one.equal(two) and not one.equal(before)
    assert torch.allclose(one.norm(dim=1), torch.ones(2), atol=1e-6)
    assert [one.p for one in found] == own and not _on(network)
    frozen, layers = network.layers
    per_layer = len(dropouts_in(list(network.transformer.encoder.layer)[:1], "one"))
    assert len(found) == per_layer * (layers - frozen) > 0


def test_steps_learn_with_it_and_looks_are_without(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize
) -> None:
    short = training.model_copy(update={"max_epochs": 2})
    few = keywords.split("train")[::6]

    def losses(share: float) -> tuple[list[float], float]:
        declared = short.model_copy(update={"dropout": share})
        network = Network(stored, trainable="last_2")
        found = fit(network, few, keywords.split("validation"), declared, tokenize=tokenize, log=MemoryLog())
        assert not _on(network)
        return [step.loss for step in found.steps], found.evaluations[0].metrics["mrr@10"]

    plain, dropped, again, half = (losses(share) for share in (0.0, 0.1, 0.1, 0.5))
    assert dropped == again and dropped[0] != plain[0] and half[0] != dropped[0]
    assert plain[1] == dropped[1] == half[1]  # the base is scored as it is served
    assert half[0][0] > plain[0][0]  # noise on the same weights and the same batch


def test_known_checkpoints_keep_their_key_and_dropout_makes_another(training: Training) -> None:
    without = training.model_dump(exclude={"dropout"})
    assert _key(Training.model_validate(without)) == _key(training)
    keys = {_key(training.model_copy(update={"dropout": share})) for share in (0.0, 0.1, 0.2)}
    assert len(keys) == 3


def test_a_model_without_any_is_refused_by_name(
    keywords: TrainingSet, training: Training, tokenize: Tokenize, tmp_path: Path
) -> None:
    import torch

    network = Network(make_checkpoint(make_tiny_bert(tmp_path / "m"), tmp_path / "stored").folder, trainable="last_1")
    for module in list(network.transformer.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, torch.nn.Dropout):
                setattr(module, name, torch.nn.Identity())
    declared = training.model_copy(update={"dropout": 0.1})
    some = keywords.split("train")[:4]
    with pytest.raises(EncoderError, match="the layers that learn have no dropout; expected train without dropout"):
        fit(network, some, [replace(one, split="validation") for one in some], declared, tokenize=tokenize,
            log=MemoryLog())  # fmt: skip


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"objective": "dropout_pairs", "dropout": 0.1}, "dropout: dropout_pairs learns from texts alone"),
        ({"objective": "classification", "labels": "kind", "trainable": "head", "dropout": 0.1},
         "dropout: no layer learns with trainable: head; leave dropout out"),
        ({"pairs": "p.jsonl", "dropout": 1.0}, "dropout"),
        ({"pairs": "p.jsonl", "dropout": -0.1}, "dropout"),
    ],
)  # fmt: skip
def test_what_cannot_drop_is_refused(declared: dict[str, object], words: str) -> None:
    with pytest.raises((SpecError, ValueError), match=words):
        Training.model_validate(declared)
