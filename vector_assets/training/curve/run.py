"""A learning curve: each start on each part, measured on validation, and once on test.

Every point takes as many steps between two looks at validation, and at most as many in all, as the point of most rows:
points differ by what they learn from, not by how long. A point is a training of its own, so that a killed one goes on
exactly; points that ended are kept as numbers and not learned again. No checkpoint is made.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from vector_assets.encoder.contract import ContractSettings
from vector_assets.records import Checkpoint, RunLog, TrainingSet
from vector_assets.spec import Curve, Start, Training
from vector_assets.training.arms import named
from vector_assets.training.curve.kept import Kept
from vector_assets.training.curve.picture import draw_points, write_points
from vector_assets.training.curve.points import Measured, Point, known_share
from vector_assets.training.curve.subsets import nested_order, part_of, sizes_of, together_of
from vector_assets.training.history import History, Progress
from vector_assets.training.key import training_key
from vector_assets.training.logged import log_start
from vector_assets.training.loop import learn
from vector_assets.training.run import begin, resume_of, store_base
from vector_assets.training.session import Session

#: Raised by hand when the same ingredients would give other points.
CODE_VERSION = "1"

#: Opens the log of a point: (number, name) -> a RunLog, which ends as failed when the block raises.
OpenPoint = Callable[[int, str], AbstractContextManager[RunLog]]


@dataclass(frozen=True, slots=True)
class Arm:
    """A point that is to be measured."""

    number: int
    start: Start
    draw: int
    rows: int

    def name(self, draws: int) -> str:
        """How its run is called."""
        return f"{self.start} {self.rows} rows" + (f", draw {self.draw}" if draws > 1 else "")


def curve_folder(folder: Path, key: str) -> Path:
    """Return where a curve of this key keeps what a kill must not lose."""
    return folder / f"{key}.curve"


def clear(folder: Path) -> None:
    """Remove a curve's folder with all that it kept."""
    shutil.rmtree(folder, ignore_errors=True)


def curve_key(training_set: str, training: Training, base: str, settings: ContractSettings | None = None) -> str:
    """Return what names a curve by its ingredients; ``base`` is the digest of the space's encoder as it is."""
    assert training.curve is not None, "a curve is declared"
    alone = training.model_copy(update={"search": None})
    ingredients = [
        training_key(training_set, alone, base, settings), training.curve.model_dump(mode="json"), CODE_VERSION,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def training_from(training: Training, start: Start, draw: int) -> Training:
    """Return the declaration of one start: from scratch all learns, and each draw has a seed of its own."""
    assert training.curve is not None, "a curve is declared"
    rate = training.curve.learning_rates.get(start, training.learning_rate)
    changed: dict[str, object] = {
        "start": start, "learning_rate": rate, "curve": None, "search": None, "seed": training.seed + draw,
        "trainable": "all" if start == "scratch" else training.trainable,
        "layers": (training.curve.layers or training.layers) if start == "scratch" else None,
    }  # fmt: skip
    return training.model_copy(update=changed)


def draw_curve(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    *,
    work: Path,
    report_folder: Path,
    log: RunLog,
    open_point: OpenPoint,
    settings: ContractSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Measured:
    """Measure what ``training.curve`` declares, draw it into ``report_folder`` and log it.

    A killed curve goes on from ``work``, which the caller removes once it has recorded what came of it.
    """
    assert training.curve is not None, "a curve is declared"
    curve = training.curve
    train = training_set.split("train")
    runner = _Runner(training_set, training, base, settings, work, progress, open_point)
    for arm in runner.arms():
        runner.measure(arm)
    points = runner.kept.points
    found = Measured(runner.kept.metric, tuple(points), tuple(curve.rows), len(train))
    report_folder.mkdir(parents=True, exist_ok=True)
    report = (
        draw_points(found, training.max_gap, report_folder / "learning_curve.png"),
        write_points(found, report_folder / "learning_curve.csv"),
    )
    _tell(log, found, training, report)
    return replace(found, report=tuple(str(path) for path in report))


class _Runner:
    def __init__(
        self,
        training_set: TrainingSet,
        training: Training,
        base: Path,
        settings: ContractSettings | None,
        work: Path,
        progress: Callable[[Progress], None] | None,
        open_point: OpenPoint,
    ) -> None:
        assert training.curve is not None, "a curve is declared"
        self.training_set, self.training, self.base, self.settings = training_set, training, base, settings
        self.curve: Curve = training.curve
        self.work, self.progress, self.open_point = work, progress, open_point
        self.train = training_set.split("train")
        self.sizes = sizes_of(self.curve, len(self.train))
        self.kept = Kept(work)
        self._bases: dict[tuple[Start, int], Checkpoint] = {}

    def arms(self) -> Iterator[Arm]:
        """Yield what was not measured before."""
        done = {(point.start, point.draw, point.rows) for point in self.kept.points}
        number = 0
        for start in self.curve.starts:
            for draw in range(self.curve.draws):
                for rows in self.sizes:
                    if (start, draw, rows) not in done:
                        yield Arm(number, start, draw, rows)
                    number += 1

    def measure(self, arm: Arm) -> None:
        """Learn on one part, and keep the numbers."""
        training = training_from(self.training, arm.start, arm.draw)
        order = nested_order(self.train, seed=self.training.seed, draw=arm.draw, together=together_of(training))
        part = part_of(self.training_set, order, arm.rows)
        stored = self._stored(training, arm)
        key = training_key(part.digest, training, stored.digest, self.settings)
        resume = resume_of(self.work, key)
        steps = math.ceil(self.sizes[-1] / training.batch_size)
        with self.open_point(arm.number, arm.name(self.curve.draws)) as log:
            fast = self.kept.fast.get(arm.start)
            session = begin(part, training, stored, log=log, saved=resume.load(), fast=fast, epoch_steps=steps)
            if fast is None and session.network.parameters():
                self.kept.remember(arm.start, session.network.fast)  # measured once: one number type for a start
            log_start(log, key, part, training, stored, session)
            log.params({"rows": arm.rows, "draw": arm.draw, "epoch_steps": steps})
            log.tags({"arm": "curve"})
            history = learn(session, self._progress(arm), resume)
            metric, point = _measured(arm, session, history, part)
            told = {"validation": point.validation, "test": point.test}
            log.metrics({**named("curve", told), "train_gap": point.gap}, step=history.best_step)
        self.kept.add(metric, point)
        resume.clear()

    def _stored(self, training: Training, arm: Arm) -> Checkpoint:
        """Return what a start begins with; fresh weights are of the draw's own seed."""
        of = (arm.start, arm.draw if arm.start == "scratch" else 0)
        if of not in self._bases:
            shutil.rmtree(self.work / "bases", ignore_errors=True)  # those of a draw that is over
            self._bases = {
                of: store_base(self.training_set, training, self.base, self.work / "bases", self.settings)
            }  # fmt: skip
        return self._bases[of]

    def _progress(self, arm: Arm) -> Callable[[Progress], None] | None:
        told = self.progress
        if told is None:
            return None
        number, most = arm.number, len(self.curve.starts) * self.curve.draws * len(self.sizes)
        return lambda now: told(replace(now, step=number * now.steps + now.step, steps=most * now.steps))


def _measured(arm: Arm, session: Session, history: History, part: TrainingSet) -> tuple[str, Point]:
    """Return the metric and what it came to, test looked at here and nowhere else."""
    best, start = history.at(history.best_step), history.at(0)
    pool = session.pool(part.split("test"))
    session.prepare(pool)
    scored = session.score_test(pool)
    classifies = session.training.objective == "classification"
    metric = "accuracy" if classifies else history.metric
    shares = {"validation": 1.0, "test": 1.0}
    if classifies:  # its head says labels of the part alone; what it cannot say is wrong
        for name in shares:
            held_out = part.split("validation" if name == "validation" else "test")
            shares[name] = known_share([pair.label for pair in held_out], session.labels)
    found = best.metrics.get(metric, 0.0)
    validation = found * shares["validation"]
    # Said of the kept weights by the loop, against what the head could say; the rest of validation is added here.
    gap = history.gap + found - validation
    point = Point(
        arm.start, arm.rows, arm.draw, len(session.labels),
        validation=validation,
        test=scored.metrics.get(metric, 0.0) * shares["test"],
        base=start.metrics.get(metric, 0.0) * shares["validation"],
        gap=gap, steps=len(history.steps), best_step=history.best_step, seconds=history.seconds,
    )  # fmt: skip
    return metric, point


def _tell(log: RunLog, found: Measured, training: Training, report: tuple[Path, ...]) -> None:
    for line in found.means:
        values = {name: float(line[name]) for name in ("validation", "test", "gap")}
        log.metrics({f"curve_{line['start']}/{name}": value for name, value in values.items()}, step=int(line["rows"]))
    warnings = found.warnings(training.max_gap)
    log.params({"points": len(found.points), "metric": found.metric, "train_rows": found.train})
    log.tags({"arm": "curve", **({"warning": " ".join(warnings)} if warnings else {})})
    for path in report:
        log.artifact(path, folder="curve")
