"""The loop: what learns, what stays, which weights are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from runlog import MemoryLog

from vector_assets.records import TrainingSet
from vector_assets.spec import Training
from vector_assets.training.history import History, Progress
from vector_assets.training.loop import fit
from vector_assets.training.network import Network
from vector_assets.training.retrieval import pool_of
from vector_assets.training.scoring import Tokenize, score_pool
from vector_assets.training.watch import Evaluated


def _mrr(found: Evaluated) -> float:
    return found.metrics["mrr@10"]


def _fit(
    network: Network, keywords: TrainingSet, training: Training, tokenize: Tokenize, log: MemoryLog | None = None
) -> History:
    train, validation = keywords.split("train"), keywords.split("validation")
    return fit(network, train, validation, training, tokenize=tokenize, log=log or MemoryLog())


def _tensors(network: Network) -> dict[str, object]:
    return {name: value.clone() for name, value in network._transformer.state_dict().items()}


@pytest.mark.parametrize(("trainable", "first"), [("last_1", 2), ("last_2", 1), ("all", 0)])
def test_frozen_tensors_stay_bit_equal_and_the_others_move(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize, trainable: str, first: int
) -> None:
    network = Network(stored, trainable=trainable)
    before = _tensors(network)
    settings = training.model_copy(update={"max_epochs": 2, "trainable": trainable})
    assert _fit(network, keywords, settings, tokenize).best_step > 0
    moved = {name for name, value in _tensors(network).items() if not value.equal(before[name])}  # type: ignore[attr-defined]
    layers = {int(name.split(".")[2]) for name in moved if name.startswith("encoder.layer.")}
    assert layers == set(range(first, 3))
    assert any(name.startswith("embeddings.") for name in moved) == (trainable == "all")
    assert set(network.weights()) >= moved


def test_lower_layers_computed_once_change_nothing(stored: Path, tokenize: Tokenize) -> None:
    import torch

    ids = tokenize(["a1 b2 c3", "d4", "e5 f6 g7 h8 a1 a2", "d4"], False)
    whole, kept = Network(stored, trainable="all"), Network(stored, trainable="last_1")
    unkept = Network(stored, trainable="last_1", kept_bytes=0)
    with torch.no_grad():
        wanted = whole.embed(ids)
        for network in (kept, kept, unkept):
            assert torch.allclose(network.embed(ids), wanted, atol=1e-5)
    assert torch.allclose(torch.from_numpy(kept.encode(ids)), wanted, atol=1e-5)


def test_training_learns_the_keywords(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize
) -> None:
    log = MemoryLog()
    history = _fit(Network(stored, trainable="last_2"), keywords, training, tokenize, log)
    first, best = history.at(0), history.at(history.best_step)
    assert _mrr(first) < 0.5 and _mrr(best) > 0.95
    losses = [value for _, value in log.series("train/loss")]
    assert losses[-1] < 0.3 * losses[0]
    assert log.series("validation/mrr_at_10")[0] == (0, _mrr(first))
    rates = [step.learning_rate for step in history.steps]
    warm = max(range(len(rates)), key=rates.__getitem__)
    assert max(rates) == pytest.approx(training.learning_rate) and 0 < warm < 45 and rates[-1] < max(rates)


def test_the_best_weights_are_kept_and_not_the_last(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vector_assets.training import loop

    # Learns at first; then the rate explodes and destroys what was learned.
    monkeypatch.setattr(loop, "rate_share", lambda step, most: 1.0 if step < 40 else 3e4)
    network = Network(stored, trainable="last_2")
    history = _fit(network, keywords, training.model_copy(update={"patience": 3}), tokenize)
    best, last = history.at(history.best_step), history.evaluations[-1]
    assert _mrr(best) > _mrr(history.at(0)) and _mrr(last) < _mrr(best) and 0 < history.best_step < last.step
    pool = pool_of(keywords.split("validation"))
    assert score_pool(network, pool, tokenize).metrics == pytest.approx(best.metrics)
    since = [found.step for found in history.evaluations if found.step > history.best_step]
    assert len(since) == 3  # patience


def test_the_base_is_kept_where_nothing_beats_it(
    stored: Path, solved: TrainingSet, training: Training, tokenize: Tokenize
) -> None:
    network = Network(stored, trainable="last_2")
    before = _tensors(network)
    bad = training.model_copy(update={"patience": 2, "max_epochs": 3})
    history = _fit(network, solved, bad, tokenize)
    assert history.best_step == 0 and len(history.evaluations) == 3
    assert all(value.equal(before[name]) for name, value in _tensors(network).items())  # type: ignore[attr-defined]


def test_the_same_seed_gives_the_same_weights_and_another_does_not(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize
) -> None:
    found = []
    for seed in (0, 0, 1):
        network = Network(stored, trainable="last_2")
        short = training.model_copy(update={"max_epochs": 1, "seed": seed})
        history = _fit(network, keywords, short, tokenize)
        found.append(([step.loss for step in history.steps], network.weights()))
    assert found[0][0] == found[1][0] != found[2][0]
    assert all(value.equal(found[1][1][name]) for name, value in found[0][1].items())


def test_the_gap_grows_where_training_learns_only_its_examples(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize
) -> None:
    network = Network(stored, trainable="last_2")
    enough = _fit(network, keywords, training.model_copy(update={"max_epochs": 6}), tokenize)
    assert enough.best_step and enough.gap < 0.2
    # Eight keywords are learned; validation asks for all twenty-four.
    few = keywords.split("train")[: 22 * 8]
    network = Network(stored, trainable="last_2")
    settings = training.model_copy(update={"max_epochs": 8, "batch_size": 8})
    history = fit(network, few, keywords.split("validation"), settings, tokenize=tokenize, log=MemoryLog())
    assert history.best_step and history.gap > 0.2


def test_evaluations_per_epoch_and_progress(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize
) -> None:
    seen: list[Progress] = []
    settings = training.model_copy(update={"max_epochs": 2, "evaluations_per_epoch": 4, "patience": 99})
    history = fit(
        Network(stored, trainable="last_1"), keywords.split("train"), keywords.split("validation"), settings,
        tokenize=tokenize, log=MemoryLog(), progress=seen.append,
    )  # fmt: skip
    assert [found.epoch for found in history.evaluations] == pytest.approx([n / 4 for n in range(9)], abs=0.03)
    assert [one.step for one in seen] == list(range(1, len(history.steps) + 1)) and seen[-1].steps >= seen[-1].step
