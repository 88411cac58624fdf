"""The arms of a run, base and tuned: what each reached, how they compare, and what is written and logged of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vector_assets.metrics import paired_bootstrap
from vector_assets.records import Checkpoint, Comparison, RunLog, TrainingSet
from vector_assets.training.history import History
from vector_assets.training.report import draw_test, write_head, write_report
from vector_assets.training.scoring import Scored
from vector_assets.training.searched import Searched
from vector_assets.training.session import Session


@dataclass(frozen=True, slots=True)
class Arm:
    """A checkpoint with what it reached."""

    checkpoint: Checkpoint
    validation: Mapping[str, float]
    test: Scored


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run. ``checkpoint`` is the base itself where nothing beat it."""

    key: str
    checkpoint: Checkpoint
    base: Checkpoint
    history: History
    validation: Mapping[str, float]
    test: Mapping[str, float]
    base_validation: Mapping[str, float]
    base_test: Mapping[str, float]
    comparison: Comparison
    fast: bool
    report: tuple[Path, ...]
    classified: Comparison | None = None  # accuracy of the head, against that of the probe on the base's vectors
    head: Path | None = None
    speed_ratio: float | None = None  # texts a second of a student, over those of its teacher
    searched: Searched | None = None

    @property
    def improved(self) -> bool:
        """The checkpoint is another than the base."""
        return self.checkpoint.digest != self.base.digest


def conclude(
    key: str,
    base: Arm,
    tuned: Arm,
    history: History,
    session: Session,
    training_set: TrainingSet,
    *,
    log: RunLog,
    base_log: RunLog,
    folder: Path,
    faster: float | None = None,
) -> Trained:
    """Compare both arms, write the report into ``folder``, and log what came of it.

    ``faster`` is how many times as many texts a second a student encodes as its teacher.
    """
    comparison, classified = compare(base.test, tuned.test, seed=session.training.seed)
    log_end(log, base_log, history, base, tuned)
    report = write_report(folder, history, comparison, training_set.report, classified, tuned.test.classified)
    pool = session.pool(training_set.split("test"))
    report = (*draw_test(folder, training_set, pool, base.test, tuned.test), *report)
    head = write_head(folder, session.head, session.labels) if session.head else None
    if faster is not None:
        log.metrics({"speed_ratio": faster}, step=history.best_step)
    for path in (*report, *([head] if head else [])):
        log.artifact(path, folder="report")
    return outcome(
        key, base, tuned, history, comparison,
        fast=session.network.fast, report=report, classified=classified, head=head, speed_ratio=faster,
    )  # fmt: skip


def outcome(
    key: str, base: Arm, tuned: Arm, history: History, comparison: Comparison, *, fast: bool, report: tuple[Path, ...],
    classified: Comparison | None = None, head: Path | None = None, speed_ratio: float | None = None,
) -> Trained:  # fmt: skip
    """Return what came of a run, by what both arms reached."""
    return Trained(
        key=key,
        checkpoint=with_metrics(tuned.checkpoint, tuned.test),
        base=with_metrics(base.checkpoint, base.test),
        history=history,
        validation=tuned.validation,
        test=tuned.test.metrics,
        base_validation=base.validation,
        base_test=base.test.metrics,
        comparison=comparison,
        fast=fast,
        report=report,
        classified=classified,
        head=head,
        speed_ratio=speed_ratio,
    )


def compare(old: Scored, new: Scored, *, seed: int) -> tuple[Comparison, Comparison | None]:
    """Return the difference in retrieval and, where both have classified, in accuracy."""
    found = paired_bootstrap(old.each, new.each, metric=new.metric, seed=seed)
    if not (old.classified and new.classified):
        return found, None
    return found, paired_bootstrap(old.classified.correct, new.classified.correct, metric="accuracy", seed=seed)


def named(what: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics by the names that they have in MLflow, which refuses @ in them."""
    return {f"{what}/{name.replace('@', '_at_')}": value for name, value in metrics.items()}


def log_end(log: RunLog, base_log: RunLog, history: History, base: Arm, tuned: Arm) -> None:
    """Log what both arms reached."""
    for run, arm, step in ((base_log, base, 0), (log, tuned, history.best_step)):
        run.metrics({**named("validation_best", arm.validation), **named("test", arm.test.metrics)}, step=step)
    log.metrics({"train_gap": history.gap}, step=history.best_step)
    log.tags({"checkpoint": tuned.checkpoint.digest, "best_step": str(history.best_step)})
    if history.resumed_at is not None:
        log.tags({"resumed_at_step": str(history.resumed_at)})


def with_metrics(checkpoint: Checkpoint, test: Scored) -> Checkpoint:
    """Return a checkpoint with what it reached on test."""
    return Checkpoint(
        checkpoint.digest,
        checkpoint.folder,
        checkpoint.contract,
        checkpoint.canaries,
        dict(test.metrics),
        checkpoint.run_id,
    )
