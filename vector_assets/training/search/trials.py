"""The trials of one search in a file of their own (Optuna over SQLite), so that a killed search goes on.

What trial n tries depends on the seed, on n, and on the trials before it: not on when a process was started.
"""

from __future__ import annotations

import shutil
import sqlite3
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from vector_assets.spec import Search
from vector_assets.training.search.space import Space
from vector_assets.training.searched import Setting, TrialState, Tried

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.pruners import BasePruner
    from optuna.trial import FrozenTrial

FILE = "trials.db"
_NAME = "search"
_SEEDS = 1_000_003  # a prime: seeds of neighbouring searches share no stream
_ASKED = 5  # times as many trials are drawn at most, where most were there before


class Pruned(Exception):
    """A trial is behind the others and ends here."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A trial that runs now; ``settings`` are all values of what is searched."""

    number: int
    settings: Mapping[str, Setting]
    trial: Trial

    @property
    def is_baseline(self) -> bool:
        """It has the declared settings."""
        return self.number == 0


class Trials:
    """Says what to try next and remembers what came of it. ``looks`` is how often a trial looks at validation."""

    def __init__(self, folder: Path, space: Space, search: Search, *, seed: int, looks: int) -> None:
        """Open what is in ``folder``, or begin anew there."""
        self._space, self._search, self._seed = space, search, seed
        self._others = space.all(search.trials - 1)
        folder.mkdir(parents=True, exist_ok=True)
        with _quiet():
            self._study = self._open(folder / FILE, looks)

    def attempts(self) -> Iterator[Attempt]:
        """Yield what is to be tried, one after the other; each must be finished before the next."""
        while (one := self._next()) is not None:
            yield one

    def report(self, one: Attempt, look: int, value: float) -> None:
        """Take a look at validation; raises Pruned. The declared settings are never pruned."""
        with _quiet():
            one.trial.report(value, look)
            if self._search.pruner != "none" and not one.is_baseline and look and one.trial.should_prune():
                raise Pruned

    def finish(
        self, one: Attempt, state: TrialState, *, value: float | None = None, seconds: float, key: str, error: str = ""
    ) -> None:
        """Remember how a trial ended; one that failed has no value."""
        from optuna.trial import TrialState as State

        states = {"complete": State.COMPLETE, "pruned": State.PRUNED, "failed": State.FAIL}
        with _quiet():
            one.trial.set_user_attr("ended", {"key": key, "error": error, "seconds": seconds, "best": value})
            self._study.tell(one.trial, value if state == "complete" else None, states[state])

    @property
    def tried(self) -> list[Tried]:
        """The trials that have ended, in order."""
        return [_tried(one) for one in self._study.trials if one.state.is_finished() and not _twin(one)]

    @property
    def best(self) -> Tried | None:
        """The best by validation, the earliest of equals; None where none is complete."""
        ended = [one for one in self.tried if one.state == "complete" and one.value is not None]
        return max(ended, key=lambda one: (one.value or 0.0, -one.number)) if ended else None

    def importances(self) -> dict[str, float]:
        """Return how much each setting matters (fANOVA over the complete trials); empty where that cannot be said."""
        from optuna.importance import FanovaImportanceEvaluator, get_param_importances

        try:
            with _quiet():
                evaluator = FanovaImportanceEvaluator(n_trees=32, seed=self._seed)
                return get_param_importances(self._study, evaluator=evaluator, params=list(self._space.declared))
        except (ValueError, RuntimeError):  # too few trials, or all alike
            return {}

    def remember(self, name: str, value: bool) -> None:
        """Keep something that all trials share."""
        self._study.set_user_attr(name, value)

    def remembered(self, name: str) -> bool | None:
        """Return what was kept."""
        return self._study.user_attrs.get(name)

    def close(self) -> None:
        """Let go of the file."""
        self._study._storage.remove_session()

    def _next(self) -> Attempt | None:
        from optuna.trial import Trial
        from optuna.trial import TrialState as State

        most = self._search.trials
        while True:
            trials = self._study.trials
            begun = [one for one in trials if one.state == State.RUNNING]
            if not begun:
                waiting = any(one.state == State.WAITING for one in trials)
                spent = sum(one.seconds for one in self.tried)
                late = self._search.minutes is not None and spent >= 60 * self._search.minutes and bool(trials)
                drawn_all = len(self.tried) >= most or len(trials) >= most * _ASKED or self._others is not None
                if late or (drawn_all and not waiting):
                    return None
            with _quiet():
                trial = Trial(self._study, begun[0]._trial_id) if begun else self._study.ask()
                one = Attempt(trial.number, self._settings(trial), trial)
            twin = next((t for t in self._study.trials if t.user_attrs.get("settings") == dict(one.settings)
                         and t.number < one.number and t.state.is_finished()), None)  # fmt: skip
            if twin is None:
                trial.set_user_attr("settings", dict(one.settings))
                return one
            self._copy(trial, twin)

    def _settings(self, trial: Trial) -> dict[str, Setting]:
        """Return a trial's values: suggested, or as declared where the search could not have chosen them."""
        self._study.sampler = _sampler(self._seed * _SEEDS + trial.number, self._search.trials)
        values, inside = dict(self._space.declared), self._space.inside
        for name in values:
            if trial.number == 0 and name not in inside:
                continue
            if name in self._space.choices:
                values[name] = cast(Setting, trial.suggest_categorical(name, self._space.choices[name]))
            elif self._space.rate:
                values[name] = trial.suggest_float(name, *self._space.rate, log=True)
        return values

    def _copy(self, trial: Trial, twin: FrozenTrial) -> None:
        """Tell of a trial what is known of the same settings: it is not run again, and not counted."""
        from optuna.trial import TrialState as State

        trial.set_user_attr("same_as", twin.number)
        with _quiet():
            for look, value in twin.intermediate_values.items():
                trial.report(value, look)
            self._study.tell(trial, twin.value if twin.state == State.COMPLETE else None, twin.state)

    def _open(self, path: Path, looks: int) -> Study:
        import optuna

        while True:
            # A creator and not a URL: any path will do, whatever signs are in it.
            storage = optuna.storages.RDBStorage("sqlite://", engine_kwargs={"creator": lambda: _connect(path)})
            study = optuna.create_study(
                storage=storage, study_name=_NAME, direction="maximize", load_if_exists=True,
                pruner=_pruner(self._search, looks), sampler=_sampler(self._seed, self._search.trials),
            )  # fmt: skip
            if study.user_attrs.get("ready"):
                return study
            if study.trials:  # killed while it was set up
                optuna.delete_study(study_name=_NAME, storage=storage)
                continue
            for one in (self._space.inside, *(self._others or ())):
                study.enqueue_trial(one)
            study.set_user_attr("ready", True)
            return study


def clear(folder: Path) -> None:
    """Remove a search's folder with all that its trials kept."""
    shutil.rmtree(folder, ignore_errors=True)


def _connect(path: Path) -> sqlite3.Connection:
    """Open the file so that a killed process loses nothing, and a power cut no more than the last trials."""
    connection = sqlite3.connect(path, timeout=60)
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = normal")
    return connection


def _sampler(seed: int, trials: int) -> Any:  # noqa: ANN401 - optuna is imported late
    from optuna.samplers import TPESampler

    # Optuna's own ten random ones would be most of a search of twelve.
    return TPESampler(seed=seed % 2**32, n_startup_trials=max(3, min(10, trials // 3)))


def _pruner(search: Search, looks: int) -> BasePruner:
    from optuna.pruners import HyperbandPruner, MedianPruner, NopPruner

    if search.pruner == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=max(3, looks))
    if search.pruner == "median":
        return MedianPruner(n_startup_trials=max(2, min(5, search.trials // 3)), n_warmup_steps=1)
    return NopPruner()


def _twin(one: FrozenTrial) -> bool:
    return "same_as" in one.user_attrs


def _tried(one: FrozenTrial) -> Tried:
    from optuna.trial import TrialState as State

    states: dict[State, TrialState] = {State.COMPLETE: "complete", State.PRUNED: "pruned", State.FAIL: "failed"}
    ended = one.user_attrs["ended"]
    return Tried(
        one.number, states[one.state], one.user_attrs["settings"], ended["best"], ended["seconds"], ended["key"],
        ended["error"],
    )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna tells of every trial on stderr, and of looks that a resumed trial takes again; our log says it all."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
