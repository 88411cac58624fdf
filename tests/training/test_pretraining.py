"""Learning from texts alone, first or only: what is on, what stays, what is kept, what is read, what a kill costs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from runlog import MemoryLog
from tiny import make_tiny_bert

from vector_assets.encoder import make_checkpoint
from vector_assets.errors import EncoderError
from vector_assets.records import Pair, TrainingSet
from vector_assets.spec import Augment, FieldPairs, Pretraining, Split, Training
from vector_assets.training import Trained, pairs_digest, resume, train
from vector_assets.training.history import History, Progress
from vector_assets.training.loop import fit
from vector_assets.training.network import Network
from vector_assets.training.objectives import Classification, DropoutPairs
from vector_assets.training.objectives.classification import fit_probe
from vector_assets.training.objectives.denoising import Denoising, damaged
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.pairs import pairs_from_rows
from vector_assets.training.scoring import Tokenize
from vector_assets.training.session import Session
from vector_assets.training.unlabelled import asked_by_own_words, pretraining_texts, with_unlabelled

FIRST = ["dropout_pairs", "denoising"]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    return [f"a{n % 24} b{n % 29} c{n % 7} d{n % 11} e{n % 13}" for n in range(96)]


@pytest.fixture
def short(training: Training) -> Training:
    """One epoch of pairs after the texts."""
    return training.model_copy(update={"max_epochs": 2, "batch_size": 24})


def _first(training: Training, objective: str, **more: object) -> Training:
    declared = Pretraining.model_validate({"objective": objective, "batch_size": 16, "learning_rate": 1e-3, **more})
    return training.model_copy(update={"pretrain": declared})


def _tensors(network: Network) -> dict[str, object]:
    return {name: value.clone() for name, value in network.transformer.state_dict().items()}


def _few(training_set: TrainingSet) -> TrainingSet:
    """A sixth of the train pairs: enough to go through all, not to learn."""
    train = training_set.split("train")[::6]
    return replace(training_set, pairs=(*train, *training_set.split("validation"), *training_set.split("test")))


def test_dropout_is_on_where_it_is_asked_for_and_nowhere_else(stored: Path, tokenize: Tokenize) -> None:
    import torch

    network = Network(stored, trainable="last_1")
    ids = tokenize(["a1 b2 c3", "d4"], False)
    with torch.no_grad():
        before, one, two, after = (network.embed(ids, dropout=noisy) for noisy in (False, True, True, False))
    assert before.equal(after) and not one.equal(two) and not one.equal(before)
    assert torch.allclose(one.norm(dim=1), torch.ones(2), atol=1e-6)
    assert not network.model.training


@pytest.mark.parametrize("objective", FIRST)
def test_frozen_tensors_stay_bit_equal_in_both_stages(
    objective: str, stored: Path, keywords: TrainingSet, short: Training, tokenize: Tokenize, texts: list[str]
) -> None:
    network = Network(stored, trainable="last_1")
    before = _tensors(network)
    log = MemoryLog()
    session = Session(
        network, keywords.split("train")[::11], keywords.split("validation"), _first(short, objective, epochs=2),
        tokenize=tokenize, log=log, texts=texts,
    )  # fmt: skip
    seen: list[dict[str, object]] = []
    follow = session.stages[1].start

    def start(*, anew: bool) -> None:
        seen.append(_tensors(network))
        follow(anew=anew)

    session.start = start  # type: ignore[method-assign]
    from vector_assets.training.loop import learn

    history = learn(session)
    (between,) = seen
    for later in (between, _tensors(network)):
        moved = {name for name, value in later.items() if not value.equal(before[name])}  # type: ignore[attr-defined]
        assert {name.split(".")[2] for name in moved} == {"2"} and all("layer" in name for name in moved)
    assert [step.stage for step in history.steps] == ["pretrain"] * 12 + ["train"] * 4
    first = [value for _, value in log.series("pretrain/loss")]
    assert len(first) == 12 and np.mean(first[-3:]) < np.mean(first[:3])
    assert [found.step for found in history.evaluations[:2]] == [0, 12] and log.series("train/loss")[0][0] == 13


def test_the_base_stays_the_arm_that_is_compared_with(
    keywords: TrainingSet, base: Path, tmp_path: Path, short: Training
) -> None:
    few = _few(keywords)
    plain, first, other = (
        train(few, declared, base, destination=tmp_path, log=log, base_log=MemoryLog())
        for declared, log in (
            (short, MemoryLog()),
            (_first(short, "dropout_pairs"), MemoryLog()),
            (_first(short, "dropout_pairs", epochs=2), MemoryLog()),
        )
    )
    assert plain.base.digest == first.base.digest and plain.base_test == first.base_test == other.base_test
    assert plain.base_validation == first.base_validation == dict(first.history.at(0).metrics)
    assert len({plain.key, first.key, other.key}) == 3
    assert plain.checkpoint.digest != first.checkpoint.digest


def test_a_pretraining_that_makes_it_worse_is_not_kept(
    solved: TrainingSet, base: Path, tmp_path: Path, short: Training
) -> None:
    found = train(
        _few(solved), _first(short, "dropout_pairs", learning_rate=0.5), base, destination=tmp_path, log=MemoryLog(),
        base_log=MemoryLog(),
    )  # fmt: skip
    assert found.history.best_step == 0 and not found.improved


def test_the_second_stage_has_all_patience_though_the_first_did_harm(
    solved: TrainingSet, stored: Path, tokenize: Tokenize, short: Training, texts: list[str]
) -> None:
    declared = _first(short, "dropout_pairs", learning_rate=0.5).model_copy(update={"patience": 1})
    session = Session(
        Network(stored, trainable="last_2"), solved.split("train")[::6], solved.split("validation"), declared,
        tokenize=tokenize, log=MemoryLog(), texts=texts,
    )  # fmt: skip
    from vector_assets.training.loop import learn

    history = learn(session)
    base, between, first = history.evaluations[:3]
    assert between.metrics["mrr@10"] < base.metrics["mrr@10"]
    assert first.step > between.step and {step.stage for step in history.steps} == {"pretrain", "train"}


def test_the_head_of_a_classification_starts_as_the_linear_probe_of_what_was_learned_before(
    stored: Path, tokenize: Tokenize, texts: list[str], short: Training
) -> None:
    """Linear probing, then fine-tuning: step 0 is the probe, and so is the first step after pretraining."""
    examples = [Pair("", text, text, "train", label=text.split()[2]) for text in texts]
    declared = _first(short, "dropout_pairs").model_copy(update={"objective": "classification", "labels": "kind"})
    network = Network(stored, trainable="last_2")
    session = Session(
        network, examples[:72], examples[72:], declared, tokenize=tokenize, log=MemoryLog(), texts=texts
    )  # fmt: skip
    objective = session.objective
    assert isinstance(objective, Classification)

    def is_the_probe() -> bool:
        assert objective.head is not None and objective.head.bias is not None
        vectors = network.encode(tokenize([one.document for one in examples[:72]], False))
        places = {label: place for place, label in enumerate(session.labels)}
        classes = np.array([places[one.label] for one in examples[:72]])
        wanted = fit_probe(vectors, classes, objective.strength)
        assert wanted.bias is not None
        return wanted.weight.equal(objective.head.weight) and wanted.bias.equal(objective.head.bias)

    assert is_the_probe()
    first, second = session.stages
    first.start(anew=True)
    optimizer = first.optimizer()
    for batch in first.batches(np.random.default_rng(0)):
        first.update(batch, optimizer, 1e-3)
    assert not is_the_probe()
    second.start(anew=True)
    assert is_the_probe()


@pytest.mark.parametrize("objective", FIRST)
@pytest.mark.parametrize("stop", [4, 13])
def test_a_run_that_was_stopped_goes_on_to_the_same_weights(
    objective: str, stop: int, keywords: TrainingSet, base: Path, tmp_path: Path, short: Training,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Stopped at a step of the first stage, and at one of the second; test_resume.py kills for real."""
    few = _few(keywords)
    declared = _first(short, objective, epochs=5)  # of two steps each

    def run(name: str, progress: Callable[[Progress], None] | None = None) -> Trained:
        return train(
            few, declared, base, destination=tmp_path / name, log=MemoryLog(), base_log=MemoryLog(),
            resume_folder=tmp_path / name / "unfinished", progress=progress,
        )  # fmt: skip

    undisturbed = run("undisturbed")
    monkeypatch.setattr(resume.Resume, "is_due", property(lambda self: True))

    def stopping(now: Progress) -> None:
        if now.step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("stopped", stopping)
    found = run("stopped")
    stages = [step.stage for step in found.history.steps]
    assert stages.index("train") < 12 and found.history.resumed_at == stop
    assert [step.loss for step in found.history.steps] == [step.loss for step in undisturbed.history.steps]
    assert found.checkpoint.digest == undisturbed.checkpoint.digest and found.history.best_step > 0


def test_what_cannot_be_learned_so_is_refused_in_one_line(stored: Path, tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    config = json.loads((stored / "config.json").read_text())
    still = make_tiny_bert(tmp_path / "still")
    none = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (still / "config.json").write_text(json.dumps(config | none))
    network = Network(make_checkpoint(still, tmp_path / "stored").folder, trainable="all")
    with pytest.raises(EncoderError, match="dropout_pairs needs a model with dropout, and this one's is 0"):
        DropoutPairs().start(network)
    other = make_tiny_bert(tmp_path / "other")
    small = DistilBertConfig(vocab_size=config["vocab_size"], dim=32, hidden_dim=64, n_layers=2, n_heads=4)
    DistilBertModel(small).save_pretrained(other)
    distil = Network(make_checkpoint(other, tmp_path / "stored").folder, trainable="all")
    with pytest.raises(EncoderError, match="which transformers has not for DistilBertModel; expected dropout_pairs"):
        Denoising().start(distil)


def test_damage_keeps_the_special_tokens_and_something_between() -> None:
    import torch

    torch.manual_seed(0)
    ids = [[2, *range(10, 60), 3], [2, 7, 3], [2, 3]]
    long, short, empty = damaged(ids)
    assert (long[0], long[-1]) == (2, 3) and 10 < len(long) < 35 and long[1:-1] == sorted(long[1:-1])
    assert short == [2, 7, 3] and empty == [2, 3]
    assert damaged(ids)[0] != long


# -- which texts are read

ROWS = [
    PairRow(f"[{n}]", f"what is {n} of it" if n % 2 else "", f"b{n} d{n} e{n} f{n}", f"g{n % 5}") for n in range(60)
]


def test_texts_of_held_out_rows_and_groups_are_never_read() -> None:
    declared = Training(
        pairs=FieldPairs(query="q"), split=Split(by="g", validation=["g3"], test=["g4"]),
        pretrain=Pretraining(objective="dropout_pairs", texts=1000),
    )  # fmt: skip
    drawn = pairs_from_rows(ROWS, declared)
    twin = PairRow("[99]", "", drawn.split("test")[0].document + " ", "g0")
    found = with_unlabelled(drawn, [*ROWS, twin, PairRow("[98]", "", " ", "g0")], declared)
    unlabelled = found.split("unlabelled")
    assert {pair.group for pair in unlabelled} == {"g0", "g1", "g2"} and not any(pair.query for pair in unlabelled)
    assert (
        len(unlabelled) == 18 == found.report["unlabelled"] and found.report["near_duplicate_unlabelled"] == 1
    )  # the twin
    assert found.digest == pairs_digest(found.pairs) != drawn.digest
    read = pretraining_texts(found, declared)
    assert set(read) == {row.document for row in ROWS if row.group not in ("g3", "g4")}
    few = declared.model_copy(update={"pretrain": Pretraining(objective="dropout_pairs", texts=7)})
    assert with_unlabelled(drawn, ROWS, few).report["over_cap_unlabelled"] == 11
    assert len(pretraining_texts(found, few)) == 7 and set(pretraining_texts(found, few)) < set(read)


def test_rows_outside_of_the_pairs_need_no_held_out_group_and_by_time_are_older_than_all_that_is_held_out() -> None:
    named = Training(
        pairs=FieldPairs(query="q"), split=Split(by="g", validation=["g3"], test=["g4"]),
        pretrain=Pretraining(objective="dropout_pairs"),
    )  # fmt: skip
    rows = [row for row in ROWS if row.query or row.group not in ("g3", "g4")]
    assert len(with_unlabelled(pairs_from_rows(rows, named), rows, named).split("unlabelled")) == 18
    both = named.model_copy(update={"split": Split(by="g", validation=["g3"], test=["g1", "g2", "g4"]), "max_test": 2})
    drawn = pairs_from_rows(ROWS, both)
    read = with_unlabelled(drawn, ROWS, both).split("unlabelled")
    assert len({pair.group for pair in drawn.split("test")}) < 3 and {pair.group for pair in read} == {"g0"}, (
        "a group is held out though no pair of it was drawn"
    )
    timed = named.model_copy(update={"split": Split(by_time="at", validation=0.2, test=0.2)})
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    dated = [replace(row, group="", time=begin + timedelta(days=place)) for place, row in enumerate(ROWS)]
    late = [replace(row, key=f"[{100 + n}]", query="", document=f"z{n} y{n} x{n}") for n, row in enumerate(dated)]
    drawn = pairs_from_rows(dated, timed)
    first = min(row.time for row in dated if row.key in {pair.key for pair in drawn.split("validation")} and row.time)
    read = with_unlabelled(drawn, [*dated, *late], timed).split("unlabelled")
    assert {pair.key for pair in read} == {
        row.key for row in (*dated, *late) if row.time and row.time < first and not row.query
    }


def test_an_image_that_looks_like_a_held_out_one_is_not_read() -> None:
    """By perceptual hash: its name, a digest, is another one."""
    declared = Training(
        objective="triplet", labels="l", batch_size=4, split=Split(by="g", validation=["g3"], test=["g4"]),
        augment=Augment(tilt=5), pretrain=Pretraining(objective="views"),
    )  # fmt: skip
    draw = random.Random(1)
    rows = [
        PairRow(f"[{n}]", "", f"name{n}", f"g{n % 5}", "" if n % 10 == 0 else f"l{n % 3}", looks=draw.getrandbits(64))
        for n in range(60)
    ]
    drawn = pairs_from_rows(rows, declared)
    held = next(row for row in rows if row.key == drawn.split("test")[0].key)
    assert held.looks is not None
    near, far = (
        PairRow(f"[{bits}]", "", f"{bits} bits off", "g0", looks=held.looks ^ bits) for bits in (0b101, 2**20 - 1)
    )
    found = with_unlabelled(drawn, [*rows, near, far], declared)
    unlabelled = {pair.document for pair in found.split("unlabelled")}
    assert unlabelled == {far.document, *(f"name{n}" for n in range(0, 60, 10))}
    assert found.report["near_duplicate_unlabelled"] == 1


def test_beside_pairs_of_a_file_likeness_decides() -> None:
    declared = Training(pairs="p.jsonl", pretrain=Pretraining(objective="denoising"))
    file = [PairRow("", row.query or f"who has {row.key}", row.document, row.group) for row in ROWS]
    drawn = pairs_from_rows(file, declared)
    found = with_unlabelled(drawn, [*ROWS, PairRow("[99]", "", "z1 z2 z3 z4", "")], declared)
    assert [pair.document for pair in found.split("unlabelled")] == ["z1 z2 z3 z4"]
    assert found.report["near_duplicate_unlabelled"] > 0


def test_texts_alone_are_asked_for_by_their_own_words_and_never_as_rows() -> None:
    asked = list(asked_by_own_words(ROWS, seed=0))
    assert asked == list(asked_by_own_words(ROWS, seed=0)) != list(asked_by_own_words(ROWS, seed=1))
    for row, made in zip(ROWS, asked, strict=True):
        words, kept = row.document.split(), made.query.split()
        assert len(kept) == 2 and [word for word in words if word in kept] == kept
        assert made.key == "" and made.group == row.group
    declared = Training(objective="dropout_pairs", split=Split(by="g", validation=["g3"], test=["g4"]))
    found = pairs_from_rows(asked, declared)
    assert all(not pair.key for pair in found.pairs) and {pair.group for pair in found.split("test")} == {"g4"}


@pytest.mark.parametrize("objective", FIRST)
def test_it_may_stand_alone(objective: str, base: Path, tmp_path: Path, texts: list[str], training: Training) -> None:
    declared = training.model_copy(
        update={"objective": objective, "pairs": None, "max_epochs": 2, "batch_size": 16, "trainable": "all"}
    )
    rows = [PairRow(f"[{n}]", "", text) for n, text in enumerate(dict.fromkeys(texts))]
    drawn = pairs_from_rows(asked_by_own_words(rows, seed=0), declared)
    log = MemoryLog()
    found = train(drawn, declared, base, destination=tmp_path, log=log, base_log=MemoryLog())
    assert len(log.series("train/loss")) == len(found.history.steps) > 4 and not log.series("pretrain/loss")
    assert log.logged_params["objective_objective"] == objective
    assert found.comparison.metric == "mrr@10" and found.comparison.queries == len(drawn.split("test"))


def test_the_history_of_plain_training_is_what_it_was(
    stored: Path, keywords: TrainingSet, training: Training, tokenize: Tokenize
) -> None:
    """Stages draw nothing of the generators that pairs alone would not draw: known keys stay true."""
    network = Network(stored, trainable="last_2")
    history: History = fit(
        network, keywords.split("train"), keywords.split("validation"), training.model_copy(update={"max_epochs": 1}),
        tokenize=tokenize, log=MemoryLog(),
    )  # fmt: skip
    assert {step.stage for step in history.steps} == {"train"} and history.evaluations[0].step == 0
