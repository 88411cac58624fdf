"""The end of a search: test is looked at, once for each of three arms, and the best is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vector_assets.encoder.open import Settings
from vector_assets.records import RunLog, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.arms import Arm, Trained, compare, conclude, named
from vector_assets.training.history import History
from vector_assets.training.key import training_key
from vector_assets.training.logged import log_start
from vector_assets.training.loop import learn
from vector_assets.training.run import begin, resume_of, store_base, store_learned
from vector_assets.training.search.report import write_search
from vector_assets.training.search.space import Space, applied
from vector_assets.training.search.trials import Trials
from vector_assets.training.searched import Searched, Tried
from vector_assets.training.session import Session


@dataclass(frozen=True, slots=True)
class Setup:
    """What a search is made of; ``work`` is where its trials keep what a kill must not lose."""

    training_set: TrainingSet
    training: Training
    base: Path
    settings: Settings
    work: Path
    space: Space
    trials: Trials

    @property
    def fast(self) -> bool | None:
        """Whether the trials compute in bfloat16; None before one has measured it."""
        return self.trials.remembered("fast")


@dataclass(frozen=True, slots=True)
class _Scored:
    arm: Arm
    history: History
    session: Session


def choose(
    of: Setup, key: str, best: Tried, *, destination: Path, folder: Path, log: RunLog, base_log: RunLog
) -> Trained:
    """Score the untrained base, trial 0 and the best on test, store the best below ``destination``, and tell of it."""
    untrained = of.training.model_copy(update={"trainable": "none", "search": None, "pretrain": None})
    base = _score(of, untrained, of.settings, destination, base_log)
    metric = base.history.metric
    base_value = base.arm.validation[metric]
    tuned = base
    if best.value is not None and best.value > base_value:
        found = _score(of, *applied(of.training, of.settings, best.settings, of.space), destination, log)
        is_same = not found.history.best_step and found.arm.checkpoint.digest == base.arm.checkpoint.digest
        tuned = base if is_same else found
    baseline = None
    if of.trials.tried[0].state == "complete":
        declared = applied(of.training, of.settings, of.space.declared, of.space)
        is_it = best.number == 0 and tuned is not base
        baseline = tuned if is_it else _score(of, *declared, destination, _Silent(), keep=False)
    log.tags({"training_key": key, "arm": "search"})
    base_log.tags({"training_key": key, "arm": "base", "checkpoint": base.arm.checkpoint.digest})
    trained = conclude(
        key, base.arm, tuned.arm, replace(tuned.history, resumed_at=None), tuned.session, of.training_set,
        log=log, base_log=base_log, folder=folder,
    )  # fmt: skip
    test, accuracy = compare(baseline.arm.test, tuned.arm.test, seed=of.training.seed) if baseline else (None, None)
    searched = Searched(
        trials=tuple(of.trials.tried),
        metric=metric,
        best=None if tuned is base else best.number,
        settings={} if tuned is base else best.settings,
        key="" if tuned is base else best.key,
        validation=tuned.arm.validation[metric],
        baseline_validation=baseline.arm.validation[metric] if baseline else None,
        base_validation=base_value,
        test=test,
        test_accuracy=accuracy,
    )
    report = write_search(folder, searched, of.trials.importances())
    _tell(log, searched, report, baseline.arm if baseline else None)
    return replace(trained, searched=searched, report=(*trained.report, *report))


def _score(
    of: Setup, training: Training, settings: Settings, destination: Path, log: RunLog, *, keep: bool = True
) -> _Scored:
    """Score what a trial has learned, or the start of one that learns nothing, and store it where it is to be kept."""
    start = store_base(of.training_set, training, of.base, destination, settings)
    key = training_key(of.training_set.digest, training, start.digest, settings)
    resume = resume_of(of.work, key)
    session = begin(of.training_set, training, start, log=log, saved=resume.load(), fast=of.fast, learns=False)
    log_start(log, key, of.training_set, training, start, session)
    history = learn(session, None, resume)  # from the end that was kept
    pool = session.pool(of.training_set.split("test"))
    session.prepare(pool)
    scored = session.score_test(pool)
    checkpoint = start
    if keep:
        checkpoint = store_learned(of.training_set, training, start, destination, session.network, history)
    return _Scored(Arm(checkpoint, history.at(history.best_step).metrics, scored), history, session)


def _tell(log: RunLog, found: Searched, report: Sequence[Path], baseline: Arm | None) -> None:
    complete: list[float] = []
    for one in found.trials:
        if one.value is None:  # a failed trial has no number, not even a zero
            continue
        complete += [one.value] if one.state == "complete" else []
        best = {"search/best": max(complete)} if complete else {}
        log.metrics({"search/validation": one.value, **best}, step=one.number)
    states = [one.state for one in found.trials]
    log.params({
        **{f"best_{name}": value for name, value in found.settings.items()},
        "best_trial": "base" if found.best is None else found.best,
        "trials": len(states),
        "trials_failed": states.count("failed"),
        "trials_pruned": states.count("pruned"),
    })  # fmt: skip
    if baseline:
        values = named("declared_validation", baseline.validation) | named("declared_test", baseline.test.metrics)
        log.metrics(values, step=0)
    for path in report:
        log.artifact(path, folder="search")


class _Silent:
    """A log of what was logged before."""

    def params(self, values: object) -> None:
        """Say nothing."""

    def metrics(self, values: object, *, step: int) -> None:
        """Say nothing."""

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Say nothing."""

    def tags(self, values: object) -> None:
        """Say nothing."""
