"""A training run: training set + base -> the checkpoint that validation chose, compared with its base on test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vector_assets.encoder.canaries import PER_ROLE
from vector_assets.encoder.checkpoint import make_checkpoint
from vector_assets.encoder.contract import Contract, ContractSettings
from vector_assets.encoder.text.model import TextEncoder
from vector_assets.metrics import paired_bootstrap
from vector_assets.records import Checkpoint, Comparison, Pair, RunLog, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.loop import History, Progress, learn
from vector_assets.training.network import Network, Shared
from vector_assets.training.precision import gains_by_bfloat16
from vector_assets.training.report import write_head, write_report
from vector_assets.training.resume import Resume
from vector_assets.training.retrieval import pool_of
from vector_assets.training.scoring import Scored, Tokenize
from vector_assets.training.searched import Searched
from vector_assets.training.session import Session

#: Raised by hand when the same training set and settings would give other weights.
CODE_VERSION = "1"

#: Settings that say where pairs come from; the training set's own digest already says what they are.
_NOT_IN_KEY = {"pairs", "labels", "split", "max_pairs", "max_validation", "max_test", "max_gap"}

#: Settings that came later: in a key only where they are not the default, so that known checkpoints stay known.
_LATER = {"lora_rank", "search"}


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
    searched: Searched | None = None

    @property
    def improved(self) -> bool:
        """The checkpoint is another than the base."""
        return self.checkpoint.digest != self.base.digest


def training_key(training_set: str, training: Training, base: str, settings: ContractSettings | None = None) -> str:
    """Return what names a run by its ingredients: digests of training set and base, settings, version of this code."""
    defaults = {name: Training.model_fields[name].default for name in _LATER}
    as_ever = {name for name, default in defaults.items() if getattr(training, name) == default}
    ingredients = {
        "training_set": training_set,
        "training": training.model_dump(mode="json", exclude=_NOT_IN_KEY | as_ever),
        "base": base,
        "settings": _stated(settings or ContractSettings()),
        "code": CODE_VERSION,
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def store_base(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    destination: Path,
    settings: ContractSettings | None = None,
) -> Checkpoint:
    """Store the untrained arm like any checkpoint; its digest is an ingredient of the training key."""
    documents, queries = canary_texts(training_set, seed=training.seed)
    return make_checkpoint(base, destination, settings=settings, documents=documents, queries=queries)


def train(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    *,
    destination: Path,
    log: RunLog,
    base_log: RunLog,
    settings: ContractSettings | None = None,
    report_folder: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    resume_folder: Path | None = None,
) -> Trained:
    """Fine-tune ``base`` (a model folder or a stored checkpoint) and store both arms below ``destination``.

    Validation chooses the weights, the base's among them. Test is scored once per checkpoint and chooses nothing.
    With a ``resume_folder`` a run that was killed goes on where it was; the caller clears it (``resume_of``) once it
    has recorded what came of it.
    """
    stored = store_base(training_set, training, base, destination, settings)
    key = training_key(training_set.digest, training, stored.digest, settings)
    resume = resume_of(resume_folder, key) if resume_folder else None
    session = begin(training_set, training, stored, log=log, saved=resume.load() if resume else None)
    log_start(log, key, training_set, training, stored, session, base_log)

    test_pool = pool_of(training_set.split("test"))
    session.prepare(test_pool)
    base_test = session.score(test_pool)
    history = learn(session, progress, resume)
    tuned_test = base_test if history.best_step == 0 else session.score(test_pool)
    checkpoint = store_learned(training_set, training, stored, destination, session.network, history)
    return conclude(
        key,
        Arm(stored, history.at(0).metrics, base_test),
        Arm(checkpoint, history.at(history.best_step).metrics, tuned_test),
        history, session, training_set,
        log=log, base_log=base_log, folder=report_folder or destination / "reports" / key,
    )  # fmt: skip


def begin(
    training_set: TrainingSet,
    training: Training,
    base: Checkpoint,
    *,
    log: RunLog,
    saved: Mapping[str, Any] | None = None,
    fast: bool | None = None,
    learns: bool = True,
    shared: Shared | None = None,
) -> Session:
    """Return a session at its start: nothing has learned, and test is not looked at.

    bfloat16 is used as ``fast`` says, or the ``saved`` run did, or a measurement finds. What ``shared`` networks have
    computed of frozen layers is not computed again.
    """
    tokenize = _tokenizer(base.folder)
    to_learn, check = training_set.split("train"), training_set.split("validation")
    network = Network(
        base.folder, trainable=training.trainable, lora_rank=training.lora_rank, seed=training.seed, shared=shared
    )
    if saved:
        fast = bool(saved["fast"])
    elif fast is None:
        batch = tokenize([pair.document for pair in to_learn[: training.batch_size]], False)
        fast = gains_by_bfloat16(network, batch)
    network.fast = fast
    return Session(network, to_learn, check, training, tokenize=tokenize, log=log, learns=learns)


def store_learned(
    training_set: TrainingSet,
    training: Training,
    base: Checkpoint,
    destination: Path,
    network: Network,
    history: History,
) -> Checkpoint:
    """Store what a network has learned; the base itself where that is nothing, or nothing beat it."""
    learned = network.learned() if history.best_step else {}
    if not learned:
        return base
    documents, queries = canary_texts(training_set, seed=training.seed)
    return make_checkpoint(base.folder, destination, documents=documents, queries=queries, weights=learned)


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
) -> Trained:
    """Compare both arms, write the report into ``folder``, and log what came of it."""
    comparison, classified = compare(base.test, tuned.test, seed=session.training.seed)
    _log_end(log, base_log, history, base, tuned)
    report = write_report(folder, history, comparison, training_set.report, classified, tuned.test.classified)
    head = write_head(folder, session.objective.head, session.labels) if session.objective.head else None
    for path in (*report, *([head] if head else [])):
        log.artifact(path, folder="report")
    return Trained(
        key=key,
        checkpoint=_with_metrics(tuned.checkpoint, tuned.test),
        base=_with_metrics(base.checkpoint, base.test),
        history=history,
        validation=tuned.validation,
        test=tuned.test.metrics,
        base_validation=base.validation,
        base_test=base.test.metrics,
        comparison=comparison,
        fast=session.network.fast,
        report=report,
        classified=classified,
        head=head,
    )


def compare(old: Scored, new: Scored, *, seed: int) -> tuple[Comparison, Comparison | None]:
    """Return the difference in retrieval and, where both have classified, in accuracy."""
    found = paired_bootstrap(old.reciprocal_ranks, new.reciprocal_ranks, metric="mrr@10", seed=seed)
    if not (old.classified and new.classified):
        return found, None
    return found, paired_bootstrap(old.classified.correct, new.classified.correct, metric="accuracy", seed=seed)


def resume_of(folder: Path, key: str) -> Resume:
    """Return the file that a run of this key goes on from."""
    return Resume(folder / f"{key}.pt", key)


def canary_texts(training_set: TrainingSet, *, seed: int) -> tuple[list[str], list[str]]:
    """Draw documents and queries for canaries from the validation pairs; labelled texts have no queries."""
    pairs: Sequence[Pair] = training_set.split("validation")
    drawn = np.random.default_rng(seed).permutation(len(pairs))[:PER_ROLE]
    queries = [pairs[place].query for place in drawn if pairs[place].query]
    return [pairs[place].document for place in drawn], queries


def _tokenizer(folder: Path) -> Tokenize:
    encoder = TextEncoder(folder, precision="full")

    def tokenize(texts: Sequence[str], is_query: bool) -> list[list[int]]:
        return encoder.tokenize(texts, role="query" if is_query else "document").ids

    return tokenize


def log_start(
    log: RunLog,
    key: str,
    training_set: TrainingSet,
    training: Training,
    base: Checkpoint,
    session: Session,
    base_log: RunLog | None = None,
) -> None:
    """Log what a run is made of."""
    network = session.network
    frozen, layers = network.layers
    contract = Contract.model_validate(base.contract)
    shared: dict[str, str | int | float | bool] = {
        "training_set": training_set.digest,
        "base_checkpoint": base.digest,
        "max_tokens": contract.max_tokens,
        "layer": contract.layer,
    }
    chosen = training.model_dump(mode="json", exclude={"pairs", "labels", "split", "search"})
    log.params({
        **shared,
        **{name: "" if value is None else value for name, value in chosen.items()},
        **{f"pairs_{name}": count for name, count in training_set.report.items()},
        "frozen_layers": frozen,
        "layers": layers,
        "bfloat16": network.fast,
        "code_version": CODE_VERSION,
        **{f"objective_{name}": value for name, value in session.objective.settings().items()},
    })  # fmt: skip
    log.tags({"training_key": key, "arm": "tuned"})
    if base_log:
        base_log.params(shared)
        base_log.tags({"training_key": key, "arm": "base", "checkpoint": base.digest})


def _log_end(log: RunLog, base_log: RunLog, history: History, base: Arm, tuned: Arm) -> None:
    for run, arm, step in ((base_log, base, 0), (log, tuned, history.best_step)):
        run.metrics({**named("validation_best", arm.validation), **named("test", arm.test.metrics)}, step=step)
    log.metrics({"train_gap": history.gap}, step=history.best_step)
    log.tags({"checkpoint": tuned.checkpoint.digest, "best_step": str(history.best_step)})
    if history.resumed_at is not None:
        log.tags({"resumed_at_step": str(history.resumed_at)})


def _with_metrics(checkpoint: Checkpoint, test: Scored) -> Checkpoint:
    return Checkpoint(
        checkpoint.digest,
        checkpoint.folder,
        checkpoint.contract,
        checkpoint.canaries,
        dict(test.metrics),
        checkpoint.run_id,
    )


def named(what: str, metrics: Mapping[str, float]) -> dict[str, float]:
    """Return metrics by the names that they have in MLflow, which refuses @ in them."""
    return {f"{what}/{name.replace('@', '_at_')}": value for name, value in metrics.items()}


def _stated(settings: ContractSettings) -> dict[str, object]:
    """Return settings as a key takes them: the layer, which came later, only where it is declared."""
    return {name: value for name, value in asdict(settings).items() if name != "layer" or value is not None}
