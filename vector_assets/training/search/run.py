"""A search: trials of other settings, the best by validation scored once on test.

Each trial trains as a run of its own would, with the same key, and goes on exactly where a kill stopped it. No trial
looks at test. After the choice, test is scored once for three arms: the untrained base, trial 0 (the declared
settings), and the best.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import Settings
from vector_assets.errors import EncoderError
from vector_assets.records import Checkpoint, RunLog, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.arms import Trained, named
from vector_assets.training.history import Progress
from vector_assets.training.key import training_key
from vector_assets.training.logged import log_start
from vector_assets.training.loop import learn
from vector_assets.training.lower import Shared
from vector_assets.training.run import begin, resume_of, store_base
from vector_assets.training.search.choice import Setup, choose
from vector_assets.training.search.space import applied, space_of
from vector_assets.training.search.trials import Attempt, Pruned, Trials, clear
from vector_assets.training.watch import Evaluated

#: Opens the log of a trial: (number, name) -> a RunLog, which ends as failed when the block raises.
OpenTrial = Callable[[int, str], AbstractContextManager[RunLog]]


def search_folder(folder: Path, key: str) -> Path:
    """Return where a search of this key keeps what a kill must not lose."""
    return folder / f"{key}.search"


def search(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    *,
    destination: Path,
    unfinished: Path,
    log: RunLog,
    base_log: RunLog,
    open_trial: OpenTrial,
    settings: Settings | None = None,
    report_folder: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Try what ``training.search`` declares and return the best; below ``destination`` only it and the base are kept.

    A killed search goes on from ``unfinished``: trials that ended are not run again. The caller removes the search's
    folder there once it has recorded what came of it. Raises EncoderError when all trials failed.
    """
    settings = settings or ContractSettings()
    stored = store_base(training_set, training, base, destination, settings)
    key = training_key(training_set.digest, training, stored.digest, settings)
    work = search_folder(unfinished, key)
    assert training.search is not None, "a search is declared"
    space = space_of(training, settings, base)
    looks = training.evaluations_per_epoch * training.max_epochs
    trials = Trials(work / "trials", space, training.search, seed=training.seed, looks=looks)
    setup = Setup(training_set, training, base, settings, work, space, trials)
    log.params({f"search_{name}": str(value) for name, value in training.search.model_dump(exclude_none=True).items()})
    log.tags({"training_key": key, "arm": "search"})
    run_trials(setup, stored, open_trial, progress)
    best = trials.best
    if best is None:
        errors = [one.error for one in trials.tried if one.error]
        trials.close()
        clear(work)  # so that the next run tries anew
        raise EncoderError(
            f"search: all {len(errors)} trials failed, the first with: {errors[0] if errors else 'no error'}; "
            "mend that, or search among other settings"
        )
    folder = report_folder or destination / "reports" / key
    found = choose(setup, key, best, destination=destination, folder=folder, log=log, base_log=base_log)
    trials.close()
    return found


def run_trials(
    setup: Setup, stored: Checkpoint, open_trial: OpenTrial, progress: Callable[[Progress], None] | None
) -> None:
    """Run all trials that have not ended; ``stored`` is the base as declared."""
    runner = _Runner(setup, stored, open_trial, progress)
    for one in setup.trials.attempts():
        runner.attempt(one)


class _Runner:
    def __init__(
        self, setup: Setup, stored: Checkpoint, open_trial: OpenTrial, progress: Callable[[Progress], None] | None
    ) -> None:
        self.setup, self.trials, self.work = setup, setup.trials, setup.work
        self.open_trial, self.progress = open_trial, progress
        self._bases: dict[Settings, Checkpoint] = {setup.settings: stored}
        self._shared: Shared = {}

    def attempt(self, one: Attempt) -> None:
        """Run one trial; a fault is the trial's, and the search goes on. What only a kill brings is not caught."""
        started = time.perf_counter()
        name = f"trial {one.number}" + (" (declared settings)" if one.is_baseline else "")
        key = ""
        try:
            with self.open_trial(one.number, name) as log:
                try:
                    log.tags({"arm": "baseline" if one.is_baseline else "trial", "trial": str(one.number)})
                    of = self.setup
                    training, settings = applied(of.training, of.settings, one.settings, of.space)
                    base = self._base_of(training, settings)
                    key = training_key(of.training_set.digest, training, base.digest, settings)
                    value = self._learn(one, training, base, key, log)
                    log.tags({"state": "complete"})
                except Pruned:
                    log.tags({"state": "pruned"})
                    best = max(one.trial.study.trials[one.number].intermediate_values.values())
                    self.trials.finish(one, "pruned", value=best, seconds=time.perf_counter() - started, key=key)
                    resume_of(self.work, key).clear()
                    return
                except Exception as error:
                    log.tags({"state": "failed", "error": _line(error)})
                    raise
            self.trials.finish(one, "complete", value=value, seconds=time.perf_counter() - started, key=key)
        except Exception as error:
            seconds = time.perf_counter() - started
            self.trials.finish(one, "failed", seconds=seconds, key=key, error=_line(error))
            if key:
                resume_of(self.work, key).clear()
        self._forget()

    def _learn(self, one: Attempt, training: Training, base: Checkpoint, key: str, log: RunLog) -> float:
        resume, training_set, fast = resume_of(self.work, key), self.setup.training_set, self.setup.fast
        session = begin(training_set, training, base, log=log, saved=resume.load(), fast=fast, shared=self._shared)
        if fast is None and session.network.parameters():
            self.trials.remember("fast", session.network.fast)  # measured once: one number type for all
        log_start(log, key, training_set, training, base, session)
        log.tags({"arm": "baseline" if one.is_baseline else "trial"})

        def judge(seen: Sequence[Evaluated], metric: str) -> None:
            self.trials.report(one, len(seen) - 1, seen[-1].metrics[metric])

        history = learn(session, self._progress(one), resume, judge=judge, keep=True)
        best = history.at(history.best_step)
        log.metrics(named("validation_best", best.metrics), step=history.best_step)
        log.tags({"best_step": str(history.best_step)})
        return best.metrics[history.metric]

    def _base_of(self, training: Training, settings: Settings) -> Checkpoint:
        if settings not in self._bases:
            place = self.work / "bases"  # of other layers: only the best's is kept, elsewhere
            self._bases[settings] = store_base(self.setup.training_set, training, self.setup.base, place, settings)
        return self._bases[settings]

    def _forget(self) -> None:
        """Drop the weights of all ended trials but trial 0 and the best."""
        best = self.trials.best
        for one in self.trials.tried:
            if one.key and one.number and not (best and one.key == best.key):
                resume_of(self.work, one.key).clear()

    def _progress(self, one: Attempt) -> Callable[[Progress], None] | None:
        declared, told, number = self.setup.training.search, self.progress, len(self.trials.tried)
        if told is None or declared is None:
            return None
        most = max(declared.trials, number + 1)
        return lambda now: told(replace(now, step=number * now.steps + now.step, steps=most * now.steps))


def _line(error: Exception) -> str:
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return f"{type(error).__name__}: {first}"[:500]
