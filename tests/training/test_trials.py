"""What a search tries next and remembers, without any training: a trial's value is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
from optuna import Study
from optuna.trial import Trial
from pydantic import ValidationError

from vector_assets.encoder import ContractSettings
from vector_assets.errors import EncoderError
from vector_assets.spec import Search, Training
from vector_assets.training import training_key
from vector_assets.training.search.space import Space, applied, space_of
from vector_assets.training.search.trials import Attempt, Pruned, Trials
from vector_assets.training.searched import Setting

Value = Callable[[Mapping[str, Setting]], float]
RATE = Search(trials=9, learning_rate=[1e-5, 1e-2], batch_size=[16, 32])
DECLARED = Space({"learning_rate": 5e-5, "batch_size": 64}, {"batch_size": (16, 32)}, (1e-5, 1e-2))


def _value(settings: Mapping[str, Setting]) -> float:
    return 1 - abs(float(settings["learning_rate"]) - 2e-3) * 50 + float(settings["batch_size"]) / 1000


def _run(folder: Path, space: Space, search: Search, value: Value, **more: Any) -> Trials:
    trials = Trials(folder, space, search, seed=more.get("seed", 3), looks=10)
    for count, one in enumerate(trials.attempts()):
        if count == more.get("stop_after"):
            raise KeyboardInterrupt  # as a kill: the trial has begun, and never ends
        trials.finish(one, "complete", value=value(one.settings), seconds=1.0, key=f"k{one.number}")
    return trials


def test_trial_0_is_as_declared_and_the_others_are_within_bounds(tmp_path: Path) -> None:
    found = _run(tmp_path, DECLARED, RATE, _value).tried
    assert found[0].settings == {"learning_rate": 5e-5, "batch_size": 64}  # 64 is none of the choices
    assert len(found) == 9 and [one.number for one in found] == list(range(9))
    for one in found[1:]:
        assert one.settings["batch_size"] in (16, 32) and 1e-5 <= float(one.settings["learning_rate"]) <= 1e-2
    inside = Space({"learning_rate": 5e-5, "batch_size": 16}, {"batch_size": (16, 32)}, (1e-5, 1e-2))
    assert _run(tmp_path / "inside", inside, RATE, _value).tried[0].settings == inside.declared


def test_a_seed_gives_the_same_trials_and_another_others(tmp_path: Path) -> None:
    runs = [
        _run(tmp_path / name, DECLARED, RATE, _value, seed=seed).tried for name, seed in (("a", 3), ("b", 3), ("c", 4))
    ]
    assert runs[0] == runs[1] and [one.settings for one in runs[0][1:]] != [one.settings for one in runs[2][1:]]


@pytest.mark.parametrize("stop", [0, 1, 4, 8])
def test_a_search_that_was_stopped_tries_what_an_undisturbed_one_does(tmp_path: Path, stop: int) -> None:
    whole = _run(tmp_path / "whole", DECLARED, RATE, _value).tried
    with pytest.raises(KeyboardInterrupt):
        _run(tmp_path / "torn", DECLARED, RATE, _value, stop_after=stop)
    tried: list[int] = []

    def value(settings: Mapping[str, Setting]) -> float:
        tried.append(1)
        return _value(settings)

    assert _run(tmp_path / "torn", DECLARED, RATE, value).tried == whole and len(tried) == 9 - stop


def test_few_choices_are_all_tried_once_and_many_are_never_tried_twice(tmp_path: Path) -> None:
    layers = Space({"layer": -1}, {"layer": (1, 2, 3, -1, "mix")}, None)
    found = _run(tmp_path / "few", layers, Search(layer=[1]), lambda one: float(str(one["layer"]) == "2")).tried
    assert [one.settings["layer"] for one in found] == [-1, 1, 2, 3, "mix"]
    many = Space({"batch_size": 8, "patience": 1}, {"batch_size": (8, 16, 32), "patience": (1, 2, 3)}, None)
    search = Search(trials=6, batch_size=[8])
    some = _run(tmp_path / "many", many, search, lambda one: float(one["batch_size"])).tried
    assert len(some) == 6 and len({tuple(one.settings.items()) for one in some}) == 6


def test_the_best_is_the_first_of_equals_and_never_a_failed_or_pruned_one(tmp_path: Path) -> None:
    trials = Trials(tmp_path, DECLARED, RATE, seed=0, looks=10)
    for one in trials.attempts():
        if one.number in (1, 2):
            trials.report(one, 0, 5.0)
            trials.finish(one, "pruned" if one.number == 1 else "failed", value=9.0 if one.number == 1 else None,
                          seconds=0, key="", error="broke")  # fmt: skip
        else:
            trials.finish(one, "complete", value=0.5 if one.number < 5 else 0.7, seconds=0, key="")
    best = trials.best
    assert best is not None and (best.number, best.value) == (5, 0.7)
    failed = trials.tried[2]
    assert (failed.state, failed.value, failed.error) == ("failed", None, "broke")
    assert trials._study.trials[2].state.name == "FAIL" and trials._study.trials[2].values is None
    assert 0 < sum(trials.importances().values()) <= 1.001


def _looked(trials: Trials, one: Attempt, level: float) -> str:
    try:
        for look in range(6):
            trials.report(one, look, level + look / 100)
    except Pruned:
        trials.finish(one, "pruned", value=level, seconds=0, key="")
        return f"pruned at {look}"
    trials.finish(one, "complete", value=level, seconds=0, key="")
    return "complete"


@pytest.mark.parametrize("pruner", ["median", "hyperband", "none"])
def test_trials_behind_the_others_end_early_and_the_declared_one_never(tmp_path: Path, pruner: str) -> None:
    search = RATE.model_copy(update={"pruner": pruner})
    trials = Trials(tmp_path, DECLARED, search, seed=0, looks=6)
    ends = [_looked(trials, one, 0.1 if one.number == 0 or one.number > 4 else 0.9) for one in trials.attempts()]
    assert ends[0] == "complete"
    assert any(end.startswith("pruned") for end in ends[5:]) == (pruner != "none")
    if pruner == "median":
        assert ends[1:5] == ["complete"] * 4 and ends[5:] == ["pruned at 1"] * 4


@dataclass
class Behind:
    """A trial that its pruner would end at every look."""

    def report(self, value: float, look: int) -> None:
        """Take it."""

    def should_prune(self) -> bool:
        return True


def test_the_declared_settings_are_not_ended_whatever_the_pruner_says(tmp_path: Path) -> None:
    trials = Trials(tmp_path, DECLARED, RATE, seed=0, looks=6)
    behind = cast(Trial, Behind())
    trials.report(Attempt(0, {}, behind), 1, 0.5)
    trials.report(Attempt(1, {}, behind), 0, 0.5)  # one look says nothing yet
    with pytest.raises(Pruned):
        trials.report(Attempt(1, {}, behind), 1, 0.5)


def test_a_search_that_was_killed_while_it_was_set_up_is_set_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers, search = Space({"layer": -1}, {"layer": (1, 2, -1)}, None), Search(layer=[1])
    enqueue, count = Study.enqueue_trial, [0]

    def torn(self: Study, *given: Any) -> None:
        count[0] += 1
        if count[0] == 2:
            raise KeyboardInterrupt
        enqueue(self, *given)

    monkeypatch.setattr(Study, "enqueue_trial", torn)
    with pytest.raises(KeyboardInterrupt):
        Trials(tmp_path, layers, search, seed=3, looks=1)
    found = _run(tmp_path, layers, search, lambda one: 1.0).tried
    assert [one.settings["layer"] for one in found] == [-1, 1, 2]


def test_all_others_are_tried_where_they_fit_just_so() -> None:
    layers = Space({"layer": -1}, {"layer": (1, 2, -1, "mix")}, None)
    assert layers.all(3) == [{"layer": 1}, {"layer": 2}, {"layer": "mix"}] and layers.all(2) is None
    assert Space({"layer": 3}, {"layer": (1, 2)}, None).all(2) == [{"layer": 1}, {"layer": 2}]


def test_bounds_are_inside_and_a_layer_named_twice_is_one(base: Path) -> None:
    for bound in (1e-5, 1e-2):
        assert Space({"learning_rate": bound}, {}, (1e-5, 1e-2)).inside == {"learning_rate": bound}
    training = Training(pairs="p", search=Search(layer=[2, -2, 1, -1]), trainable="none")
    found = space_of(training, ContractSettings(), base)
    assert found.choices == {"layer": (2, 1, -1)}
    assert applied(training, ContractSettings(), {"layer": -1}, found)[1] == ContractSettings()
    assert applied(training, ContractSettings(), {"layer": 2}, found)[1] == ContractSettings(layer=2)


def test_no_trial_begins_after_the_minutes(tmp_path: Path) -> None:
    search = RATE.model_copy(update={"minutes": 0.05})  # 3 seconds, and each trial says that it took one
    assert len(_run(tmp_path, DECLARED, search, _value).tried) == 3


def test_layers_are_those_of_the_encoder(base: Path) -> None:
    training = Training(pairs="p", search=Search(layer=[1, -2, 3, "mix"]), trainable="none")
    found = space_of(training, ContractSettings(), base)
    assert found.choices == {"layer": (1, 2, -1, "mix")} and found.declared == {"layer": -1}
    assert space_of(training, ContractSettings(layer=2), base).declared == {"layer": 2}
    with pytest.raises(EncoderError, match="layer 4 is asked for and the encoder has 3 layers"):
        space_of(Training(pairs="p", search=Search(layer=[4])), ContractSettings(), base)


def test_layers_alone_need_no_learning_and_with_more_they_do() -> None:
    assert Training(pairs="p", search=Search(layer=[1, 2])).trainable == "none"
    assert Training.model_validate({"pairs": "p", "search": {"layer": [1, 2]}}).trainable == "none"
    assert Training.model_validate({"pairs": "p", "search": {"layer": [1], "batch_size": [8]}}).trainable == "last_2"
    assert Training(pairs="p", search=Search(layer=[1, 2]), trainable="last_1").trainable == "last_1"
    assert Training(pairs="p").trainable == "last_2"


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({}, "tries nothing; expected one or more of learning_rate, batch_size"),
        ({"trials": 5}, "tries nothing"),
        ({"learning_rate": [1e-2, 1e-4]}, "learning_rate: found 0.01 to 0.0001; expected the lower one first"),
        ({"learning_rate": [1e-2]}, "at least 2 items"),
        ({"batch_size": [16, 16]}, "must hold each value once"),
        ({"trainable": ["last_0"]}, "must be all, last_<k>"),
        ({"trainable": ["head"]}, "search.trainable: contrastive has no head to learn alone"),
        ({"layer": [0]}, "must be 1 or more"),
        ({"layer": [1], "trials": 1}, "greater than or equal to 2"),
        ({"dropout": [0.1]}, "Extra inputs"),
        (5, "valid dictionary"),
    ],
)
def test_what_cannot_be_searched_is_refused(search: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Training.model_validate({"pairs": "p", "search": search})


def test_nothing_learns_only_in_a_search_among_layers() -> None:
    with pytest.raises(ValidationError, match="trainable: none learns nothing; expected search"):
        Training(pairs="p", trainable="none")


def test_a_search_has_a_key_of_its_own_and_none_changes_no_key() -> None:
    plain = Training(pairs="p")
    one, other = (plain.model_copy(update={"search": Search(batch_size=sizes)}) for sizes in ([16], [16, 32]))
    assert len({training_key("set", training, "base") for training in (plain, one, other)}) == 3
    layers = [ContractSettings(), ContractSettings(layer=2), ContractSettings(layer="mix")]
    assert len({training_key("set", plain, "base", settings) for settings in layers}) == 3
