"""A training run: training set + base -> the checkpoint that validation chose, compared with its base on test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vector_assets.encoder.canaries import PER_ROLE
from vector_assets.encoder.checkpoint import make_checkpoint
from vector_assets.encoder.image.checkpoint import ImageSettings, make_image_checkpoint
from vector_assets.encoder.image.files import is_image_checkpoint
from vector_assets.encoder.open import Settings
from vector_assets.encoder.text.model import TextEncoder
from vector_assets.records import Checkpoint, Pair, RunLog, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.arms import Arm, Trained, conclude
from vector_assets.training.enough import SPLITS
from vector_assets.training.history import History, Progress
from vector_assets.training.image import open_network, with_rotations
from vector_assets.training.key import training_key
from vector_assets.training.logged import log_start
from vector_assets.training.loop import learn
from vector_assets.training.lower import Shared
from vector_assets.training.network import Network
from vector_assets.training.precision import gains_by_bfloat16
from vector_assets.training.resume import Resume
from vector_assets.training.scoring import Tokenize
from vector_assets.training.scratch import fresh_model
from vector_assets.training.session import Session
from vector_assets.training.student import cut_layers
from vector_assets.training.teacher import Teacher, speed_ratio
from vector_assets.training.unlabelled import pretraining_texts


def store_base(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    destination: Path,
    settings: Settings | None = None,
) -> Checkpoint:
    """Store the untrained arm like any checkpoint; its digest is an ingredient of the training key.

    A student with fewer layers is cut out of ``base``: untrained, it is the arm that the trained one is compared with.
    From scratch it is the fresh network, which knows nothing; there ``declared_arm`` is what is compared with.
    """
    if isinstance(settings, ImageSettings):
        return make_image_checkpoint(base, destination, settings=settings)
    documents, queries = canary_texts(training_set, seed=training.seed)
    if training.layers or training.start == "scratch":
        with TemporaryDirectory() as folder:
            place = Path(folder) / base.name
            if training.start == "scratch":
                started = fresh_model(base, place, layers=training.layers, seed=training.seed)
            else:
                started = cut_layers(base, training.layers or 0, place)
            return make_checkpoint(started, destination, settings=settings, documents=documents, queries=queries)
    return make_checkpoint(base, destination, settings=settings, documents=documents, queries=queries)


def train(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    *,
    destination: Path,
    log: RunLog,
    base_log: RunLog,
    settings: Settings | None = None,
    report_folder: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    resume_folder: Path | None = None,
    teacher: Checkpoint | None = None,
) -> Trained:
    """Fine-tune ``base`` (a model folder or a stored checkpoint) and store both arms below ``destination``.

    Validation chooses the weights, the base's among them. Test is scored once per checkpoint and chooses nothing.
    With a ``resume_folder`` a run that was killed goes on where it was; the caller clears it (``resume_of``) once it
    has recorded what came of it. A distillation needs the stored ``teacher``, whose vectors are computed once and kept
    below ``destination``. Of images ``settings`` are ImageSettings, and the training set has them.
    """
    stored = store_base(training_set, training, base, destination, settings)
    key = training_key(
        training_set.digest, training, stored.digest, settings, teacher=teacher.digest if teacher else None
    )
    resume = resume_of(resume_folder, key) if resume_folder else None
    taught = partial(_teacher, teacher, training_set, destination / ".teachers") if teacher else None
    from_scratch = training.start == "scratch"
    base_arm = (
        declared_arm(training_set, training, base, destination, settings, base_log, taught) if from_scratch else None
    )
    session = begin(training_set, training, stored, log=log, saved=resume.load() if resume else None, teacher=taught)
    log_start(log, key, training_set, training, stored, session, base_log, base_arm.checkpoint if base_arm else stored)

    test_pool = session.pool(training_set.split("test"))
    session.prepare(test_pool)
    base_test = None if base_arm else session.score_test(test_pool)
    history = learn(session, progress, resume)
    tuned_test = base_test if base_test and history.best_step == 0 else session.score_test(test_pool)
    checkpoint = store_learned(training_set, training, stored, destination, session.network, history)
    if base_test:
        base_arm = Arm(stored, history.at(0).metrics, base_test)
    assert base_arm is not None, "one of both is there"
    return conclude(
        key,
        base_arm,
        Arm(checkpoint, history.at(history.best_step).metrics, tuned_test),
        history, session, training_set,
        log=log, base_log=base_log, folder=report_folder or destination / "reports" / key,
        faster=speed_ratio(teacher, checkpoint, test_pool.documents) if teacher else None,
    )  # fmt: skip


def declared_arm(
    training_set: TrainingSet,
    training: Training,
    base: Path,
    destination: Path,
    settings: Settings | None,
    log: RunLog,
    teacher: Callable[[Network], Teacher] | None = None,
) -> Arm:
    """Score the space's encoder as it is: what a network from scratch is worth is told by this, not by its own start.

    Of a classification it is the linear probe on the encoder's vectors.
    """
    as_is = {"start": "pretrained", "layers": None, "trainable": "none", "pretrain": None}
    declared = training.model_copy(update=as_is)
    stored = store_base(training_set, declared, base, destination, settings)
    session = begin(training_set, declared, stored, log=log, learns=False, teacher=teacher)
    validation = learn(session).at(0).metrics
    pool = session.pool(training_set.split("test"))
    session.prepare(pool)
    return Arm(stored, validation, session.score_test(pool))


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
    teacher: Callable[[Network], Teacher] | None = None,
    epoch_steps: int | None = None,
) -> Session:
    """Return a session at its start: nothing has learned, and test is not looked at.

    bfloat16 is used as ``fast`` says, or the ``saved`` run did, or a measurement finds. What ``shared`` networks have
    computed of frozen layers is not computed again. A student has a ``teacher``.
    """
    to_learn, check = training_set.split("train"), training_set.split("validation")
    if is_image_checkpoint(base.folder):
        images, pictures = open_network(base.folder, training_set, training)
        rotates = training.augment and training.augment.rotations
        shown = with_rotations(to_learn) if rotates else to_learn
        alone = pretraining_texts(training_set, training) if training.pretrain and learns else ()
        session = Session(
            images, shown, check, training, tokenize=pictures.tokenize, log=log, learns=learns, texts=alone,
            epoch_steps=epoch_steps,
        )  # fmt: skip
        images.prepare(pictures.tokenize(alone))  # last, where there is room left
        return session
    tokenize = _tokenizer(base.folder)
    network = Network(
        base.folder, trainable=training.trainable, lora_rank=training.lora_rank, seed=training.seed, shared=shared
    )
    if saved:
        fast = bool(saved["fast"])
    elif fast is None:
        batch = tokenize([pair.document for pair in to_learn[: training.batch_size]], False)
        fast = gains_by_bfloat16(network, batch)
    network.fast = fast
    return Session(
        network, to_learn, check, training, tokenize=tokenize, log=log, learns=learns, epoch_steps=epoch_steps,
        texts=pretraining_texts(training_set, training) if training.pretrain else (),
        teacher=teacher(network) if teacher else None,
    )  # fmt: skip


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
    if is_image_checkpoint(base.folder):
        return make_image_checkpoint(base.folder, destination, weights=learned)
    documents, queries = canary_texts(training_set, seed=training.seed)
    return make_checkpoint(base.folder, destination, documents=documents, queries=queries, weights=learned)


def resume_of(folder: Path, key: str) -> Resume:
    """Return the file that a run of this key goes on from."""
    return Resume(folder / f"{key}.pt", key)


def canary_texts(training_set: TrainingSet, *, seed: int) -> tuple[list[str], list[str]]:
    """Draw documents and queries for canaries from the validation pairs; labelled texts have no queries."""
    pairs: Sequence[Pair] = training_set.split("validation")
    drawn = np.random.default_rng(seed).permutation(len(pairs))[:PER_ROLE]
    queries = [pairs[place].query for place in drawn if pairs[place].query]
    return [pairs[place].document for place in drawn], queries


def _teacher(teacher: Checkpoint, training_set: TrainingSet, cache: Path, network: Network) -> Teacher:
    train, *others = (training_set.split(name) for name in SPLITS)
    learned = dict.fromkeys(pair.document for pair in train)
    texts = dict.fromkeys([*learned, *(pair.document for split in others for pair in split)])
    return Teacher(teacher, list(texts), network.dims, cache, learned=len(learned))


def _tokenizer(folder: Path) -> Tokenize:
    encoder = TextEncoder(folder, precision="full")

    def tokenize(texts: Sequence[str], is_query: bool) -> list[list[int]]:
        return encoder.tokenize(texts, role="query" if is_query else "document").ids

    return tokenize
