"""Fewer dims, learned from the rows' own vectors: a checkpoint whose last step is a map onto their main directions.

What it is compared with is the same encoder cut to its first dims, which ``dims:`` alone would give. Held-out texts are
asked for their ten nearest by all dims; who finds more of them on validation is kept, and a tie keeps the cut.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from vector_assets.encoder.canaries import CheckedEncoder
from vector_assets.encoder.checkpoint import make_checkpoint
from vector_assets.encoder.contract import ContractSettings, own_width
from vector_assets.encoder.open import Settings, open_encoder
from vector_assets.errors import SpecError
from vector_assets.records import Checkpoint, RunLog, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.arms import Arm, Trained, compare, log_end, named, outcome
from vector_assets.training.enough import SPLITS
from vector_assets.training.history import History, Progress
from vector_assets.training.key import training_key
from vector_assets.training.logged import log_ingredients
from vector_assets.training.pca import Components, Moments
from vector_assets.training.reduction_report import Kept, draw_kept, numbers_of, write_shares
from vector_assets.training.report import write_numbers
from vector_assets.training.retrieval import Pool, judge
from vector_assets.training.run import canary_texts, store_base
from vector_assets.training.scoring import Scored
from vector_assets.training.teacher import Teacher
from vector_assets.training.watch import Evaluated, best_of

_METRIC = "recall@10"
_TEXTS = 1024  # encoded at once; all that is kept of them are their moments

#: What an encoder reached on each pool.
Looked = Mapping[str, Scored]


def reduce_dims(
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
) -> Trained:
    """Learn the map from the train texts in one pass, and store both arms below ``destination``.

    ``settings.dims`` says how many dims are left. Raises SpecError where the encoder has no more than these, or where
    there are fewer texts than dims.
    """
    started = time.perf_counter()
    cut = store_base(training_set, training, base, destination, settings)
    key = training_key(training_set.digest, training, cut.digest, settings)
    texts = list(dict.fromkeys(pair.document for pair in training_set.split("train")))
    with _all_dims(training_set, training, base, destination, settings) as whole:
        dims, width = int(str(cut.contract["dims"])), int(str(whole.contract["dims"]))
        _require_fewer(dims, width, len(texts))
        own = {"dims": dims, "encoder_dims": width, "texts": len(texts), "centred": False}
        log_ingredients(log, key, training_set, training, cut, own, base_log, cut)
        pools = _pools(training_set, training, whole, destination / ".teachers", texts)
        before = _look(open_encoder(cut.folder), pools, log, step=0)
        best = before["validation"].metrics[_METRIC]

        def told(step: int, steps: int) -> None:
            if progress:
                progress(Progress(step, steps, None, best, _METRIC))

        found = learn_components(open_encoder(whole.folder), texts, dims, told)
    documents, queries = canary_texts(training_set, seed=training.seed)
    # Dims that the encoder gives and its contract leaves out have no part in it.
    weight = np.pad(found.weight, ((0, 0), (0, own_width(cut.folder) - width)))
    reduced = make_checkpoint(cut.folder, destination, documents=documents, queries=queries, linear=weight)
    after = _look(open_encoder(reduced.folder), pools, log, step=1)
    before["test"].metrics["explained_variance"] = float(found.cut[dims - 1])
    after["test"].metrics["explained_variance"] = float(found.explained[dims - 1])
    history = _history(before, after, time.perf_counter() - started)
    old = Arm(cut, before["validation"].metrics, before["test"])
    new = Arm(reduced, after["validation"].metrics, after["test"]) if history.best_step else old
    comparison, _ = compare(old.test, new.test, seed=training.seed)
    log_end(log, base_log, history, old, new)
    folder = report_folder or destination / "reports" / key
    kept = Kept(_found(before), _found(after))
    report = (
        draw_kept(folder, found, kept),
        write_shares(folder, found),
        write_numbers(folder, history, comparison, training_set.report, reduction=numbers_of(found, kept)),
    )
    for path in report:
        log.artifact(path, folder="report")
    return outcome(key, old, new, history, comparison, fast=False, report=report)


def learn_components(
    encoder: CheckedEncoder, texts: Sequence[str], dims: int, told: Callable[[int, int], None] | None = None
) -> Components:
    """Return the main directions of the vectors of these texts; ``told`` of each batch and how many there are."""
    moments = Moments(encoder.dims)
    batches = range(0, len(texts), _TEXTS)
    for number, start in enumerate(batches, start=1):
        moments.add(encoder.encode_documents(texts[start : start + _TEXTS]).vectors)
        if told:
            told(number, len(batches))
    return moments.components(dims)


def _require_fewer(dims: int, width: int, texts: int) -> None:
    if dims >= width:
        raise SpecError(
            f"dims: found {dims}; train.objective: pca makes fewer of the encoder's {width}; expected less than that"
        )
    if texts < dims:
        raise SpecError(
            f"dims: found {dims}; train.objective: pca has {texts} texts to learn from, which span no more dims than "
            "that; expected fewer dims, or more rows"
        )


@contextmanager
def _all_dims(
    training_set: TrainingSet, training: Training, base: Path, destination: Path, settings: Settings | None
) -> Iterator[Checkpoint]:
    """Yield the encoder as it is before any dim is left out; nothing keeps it afterwards."""
    assert settings is None or isinstance(settings, ContractSettings), "images have no dims to choose"
    asked = replace(settings, dims=None) if settings else None
    with TemporaryDirectory(prefix=".all-dims-", dir=destination) as folder:
        yield store_base(training_set, training, base, Path(folder), asked)


def _pools(
    training_set: TrainingSet, training: Training, whole: Checkpoint, cache: Path, learned: Sequence[str]
) -> dict[str, Pool]:
    """Return held-out texts, and as many of those that are learned from as validation has, asked by all dims."""
    held: dict[str, list[str]] = {
        name: list(dict.fromkeys(pair.document for pair in training_set.split(name))) for name in SPLITS[1:]
    }
    drawn = np.random.default_rng([training.seed, 1]).permutation(len(learned))[: len(held["validation"])]
    held["learned"] = [learned[place] for place in sorted(drawn)]
    texts = list(dict.fromkeys(text for some in held.values() for text in some))
    asked = Teacher(whole, texts, int(str(whole.contract["dims"])), cache, learned=len(texts))
    return {name: asked.pool(some) for name, some in held.items()}


def _look(encoder: CheckedEncoder, pools: Mapping[str, Pool], log: RunLog, *, step: int) -> Looked:
    """Score an encoder as it is served, and log what it reached on validation."""
    found = {}
    for name, pool in pools.items():
        vectors = encoder.encode_documents(pool.documents).vectors
        scored = judge(pool, vectors, vectors)
        found[name] = Scored(scored.metrics, scored.metric, scored.each)
    log.metrics(named("validation", found["validation"].metrics), step=step)
    return found


def _history(before: Looked, after: Looked, seconds: float) -> History:
    seen = tuple(
        Evaluated(step, float(step), found["validation"].metrics, seconds * step)
        for step, found in enumerate((before, after))
    )
    best = best_of(seen, _METRIC).step
    gaps = [found["learned"].metrics[_METRIC] - found["validation"].metrics[_METRIC] for found in (before, after)]
    return History((), seen, best, seconds, _METRIC, gaps[best] - gaps[0])


def _found(looked: Looked) -> dict[str, float]:
    return {name: scored.metrics[_METRIC] for name, scored in looked.items()}
