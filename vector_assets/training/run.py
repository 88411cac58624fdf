"""A training run: training set + base -> the checkpoint that validation chose, compared with its base on test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vector_assets.encoder.canaries import PER_ROLE
from vector_assets.encoder.checkpoint import make_checkpoint
from vector_assets.encoder.contract import Contract, ContractSettings
from vector_assets.encoder.text.model import TextEncoder
from vector_assets.metrics import paired_bootstrap
from vector_assets.records import Checkpoint, Comparison, Pair, RunLog, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.loop import History, Progress, learn
from vector_assets.training.network import Network
from vector_assets.training.pairs import SPLITS
from vector_assets.training.precision import gains_by_bfloat16
from vector_assets.training.report import draw_test, write_head, write_report
from vector_assets.training.resume import Resume
from vector_assets.training.retrieval import Pool
from vector_assets.training.scoring import Scored, Tokenize
from vector_assets.training.session import Session
from vector_assets.training.student import cut_layers
from vector_assets.training.teacher import Teacher, speed_ratio
from vector_assets.training.unlabelled import pretraining_texts

#: Raised by hand when the same training set and settings would give other weights.
CODE_VERSION = "1"

#: Settings that say where pairs come from; the training set's own digest already says what they are.
_SOURCES = {"pairs", "labels", "triplets", "relevance", "clicks", "negatives", "split"}
_NOT_IN_KEY = _SOURCES | {"max_pairs", "max_validation", "max_test", "max_gap", "teacher"}

#: Settings that came later: in a key only where they are not the default, so that known checkpoints stay known.
_LATER = {"lora_rank", "matryoshka", "pretrain", "layers", "head"}


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

    @property
    def improved(self) -> bool:
        """The checkpoint is another than the base."""
        return self.checkpoint.digest != self.base.digest


def training_key(
    training_set: str,
    training: Training,
    base: str,
    settings: ContractSettings | None = None,
    *,
    teacher: str | None = None,
) -> str:
    """Return what names a run by its ingredients: digests of training set and base, settings, version of this code.

    ``teacher`` is the digest of the checkpoint to imitate.
    """
    defaults = {name: Training.model_fields[name].default for name in _LATER}
    as_ever = {name for name, default in defaults.items() if getattr(training, name) == default}
    contract = asdict(settings or ContractSettings())
    if contract["dims"] is None:
        del contract["dims"]  # it came later
    ingredients = {
        "training_set": training_set,
        "training": training.model_dump(mode="json", exclude=_NOT_IN_KEY | as_ever),
        "base": base,
        "settings": contract,
        "code": CODE_VERSION,
        **({"teacher": teacher} if teacher else {}),
    }
    return hashlib.sha256(json.dumps(ingredients, sort_keys=True).encode()).hexdigest()


def store_base(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    destination: Path,
    settings: ContractSettings | None = None,
) -> Checkpoint:
    """Store the untrained arm like any checkpoint; its digest is an ingredient of the training key.

    A student with fewer layers is cut out of ``base``: untrained, it is the arm that the trained one is compared with.
    """
    documents, queries = canary_texts(training_set, seed=training.seed)
    if training.layers:
        with TemporaryDirectory() as folder:
            student = cut_layers(base, training.layers, Path(folder) / base.name)
            return make_checkpoint(student, destination, settings=settings, documents=documents, queries=queries)
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
    teacher: Checkpoint | None = None,
) -> Trained:
    """Fine-tune ``base`` (a model folder or a stored checkpoint) and store both arms below ``destination``.

    Validation chooses the weights, the base's among them. Test is scored once per checkpoint and chooses nothing.
    With a ``resume_folder`` a run that was killed goes on where it was; the caller clears it (``resume_of``) once it
    has recorded what came of it. A distillation needs the stored ``teacher``, whose vectors are computed once and kept
    below ``destination``.
    """
    stored = store_base(training_set, training, base, destination, settings)
    key = training_key(
        training_set.digest, training, stored.digest, settings, teacher=teacher.digest if teacher else None
    )
    tokenize = _tokenizer(stored.folder)
    to_learn, check = training_set.split("train"), training_set.split("validation")
    network = Network(
        stored.folder, trainable=training.trainable, lora_rank=training.lora_rank, seed=training.seed
    )  # fmt: skip
    resume = resume_of(resume_folder, key) if resume_folder else None
    saved = resume.load() if resume else None
    batch = tokenize([pair.document for pair in to_learn[: training.batch_size]], False)
    network.fast = bool(saved["fast"]) if saved else gains_by_bfloat16(network, batch)
    _log_start(log, base_log, key, training_set, training, stored, network)

    taught = _teacher(teacher, training_set, network, destination / ".teachers") if teacher else None
    texts = pretraining_texts(training_set, training) if training.pretrain else ()
    session = Session(network, to_learn, check, training, tokenize=tokenize, log=log, texts=texts, teacher=taught)
    test_pool = session.pool(training_set.split("test"))
    session.prepare(test_pool)
    log.params({f"objective_{name}": value for name, value in session.settings.items()})
    base_test = _scored(session, test_pool, taught, tokenize)
    history = learn(session, progress, resume)
    tuned_test = base_test if history.best_step == 0 else _scored(session, test_pool, taught, tokenize)
    checkpoint = stored
    learned = network.learned() if history.best_step else {}
    if learned:
        documents, queries = canary_texts(training_set, seed=training.seed)
        checkpoint = make_checkpoint(stored.folder, destination, documents=documents, queries=queries, weights=learned)
    if taught:
        comparison = paired_bootstrap(
            base_test.recalls, tuned_test.recalls, metric="recall@10", seed=training.seed
        )  # fmt: skip
    else:
        comparison = paired_bootstrap(
            base_test.reciprocal_ranks, tuned_test.reciprocal_ranks, metric="mrr@10", seed=training.seed
        )
    classified = None
    if base_test.classified and tuned_test.classified:
        classified = paired_bootstrap(
            base_test.classified.correct, tuned_test.classified.correct, metric="accuracy", seed=training.seed
        )
    validation, base_validation = history.at(history.best_step).metrics, history.at(0).metrics
    _log_end(log, base_log, history, (base_validation, base_test), (validation, tuned_test), checkpoint)
    folder = report_folder or destination / "reports" / key
    report = write_report(folder, history, comparison, training_set.report, classified, tuned_test.classified)
    report = (*draw_test(folder, training_set, test_pool, base_test, tuned_test), *report)
    head = write_head(folder, session.head, session.labels) if session.head else None
    faster = speed_ratio(teacher.folder, checkpoint.folder, test_pool.documents) if teacher else None
    if faster is not None:
        log.metrics({"speed_ratio": faster}, step=history.best_step)
    for path in (*report, *([head] if head else [])):
        log.artifact(path, folder="report")
    return Trained(
        key=key,
        checkpoint=_with_metrics(checkpoint, tuned_test),
        base=_with_metrics(stored, base_test),
        history=history,
        validation=validation,
        test=tuned_test.metrics,
        base_validation=base_validation,
        base_test=base_test.metrics,
        comparison=comparison,
        fast=network.fast,
        report=report,
        classified=classified,
        head=head,
        speed_ratio=faster,
    )


def resume_of(folder: Path, key: str) -> Resume:
    """Return the file that a run of this key goes on from."""
    return Resume(folder / f"{key}.pt", key)


def canary_texts(training_set: TrainingSet, *, seed: int) -> tuple[list[str], list[str]]:
    """Draw documents and queries for canaries from the validation pairs; labelled texts have no queries."""
    pairs: Sequence[Pair] = training_set.split("validation")
    drawn = np.random.default_rng(seed).permutation(len(pairs))[:PER_ROLE]
    queries = [pairs[place].query for place in drawn if pairs[place].query]
    return [pairs[place].document for place in drawn], queries


def _teacher(teacher: Checkpoint, training_set: TrainingSet, network: Network, cache: Path) -> Teacher:
    train, *others = (training_set.split(name) for name in SPLITS)
    learned = dict.fromkeys(pair.document for pair in train)
    texts = dict.fromkeys([*learned, *(pair.document for split in others for pair in split)])
    return Teacher(teacher.folder, list(texts), network.dims, cache, learned=len(learned))


def _scored(session: Session, pool: Pool, teacher: Teacher | None, tokenize: Tokenize) -> Scored:
    """Score on test; a student also by how near it is to its teacher."""
    found = session.score(pool)
    if teacher:
        vectors = session.network.encode(tokenize(pool.documents, False))
        found.metrics["teacher_cosine"] = float(teacher.cosines(pool.documents, vectors).mean())
    return found


def _tokenizer(folder: Path) -> Tokenize:
    encoder = TextEncoder(folder, precision="full")

    def tokenize(texts: Sequence[str], is_query: bool) -> list[list[int]]:
        return encoder.tokenize(texts, role="query" if is_query else "document").ids

    return tokenize


def _log_start(
    log: RunLog,
    base_log: RunLog,
    key: str,
    training_set: TrainingSet,
    training: Training,
    base: Checkpoint,
    network: Network,
) -> None:
    frozen, layers = network.layers
    contract = Contract.model_validate(base.contract)
    shared: dict[str, str | int | float | bool] = {
        "training_set": training_set.digest,
        "base_checkpoint": base.digest,
        "max_tokens": contract.max_tokens,
    }
    told = _SOURCES - {"negatives"} | {"head"}  # elsewhere: by the training set, and by the objective
    chosen = training.model_dump(mode="json", exclude=told)
    log.params({
        **shared,
        **{name: _shown(value) for name, value in chosen.items()},
        # What single positions of a log came to is in report.json: there may be hundreds.
        **{f"pairs_{name}": n for name, n in training_set.report.items() if not name.startswith("position_")},
        "frozen_layers": frozen,
        "layers": layers,
        "bfloat16": network.fast,
        "code_version": CODE_VERSION,
    })  # fmt: skip
    log.tags({"training_key": key, "arm": "tuned"})
    base_log.params(shared)
    base_log.tags({"training_key": key, "arm": "base", "checkpoint": base.digest})


def _log_end(
    log: RunLog,
    base_log: RunLog,
    history: History,
    base: tuple[Mapping[str, float], Scored],
    tuned: tuple[Mapping[str, float], Scored],
    checkpoint: Checkpoint,
) -> None:
    for run, (validation, test), step in ((base_log, base, 0), (log, tuned, history.best_step)):
        best = {f"validation_best/{_plain(name)}": value for name, value in validation.items()}
        run.metrics({**best, **{f"test/{_plain(name)}": value for name, value in test.metrics.items()}}, step=step)
    log.metrics({"train_gap": history.gap}, step=history.best_step)
    log.tags({"checkpoint": checkpoint.digest, "best_step": str(history.best_step)})
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


def _shown(value: str | float | list[object] | dict[str, object] | None) -> str | int | float | bool:
    if isinstance(value, list | dict):
        return json.dumps(value)
    return "" if value is None else value


def _plain(name: str) -> str:
    return name.replace("@", "_at_")  # MLflow refuses @ in the name of a metric
