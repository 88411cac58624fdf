"""What of a training's settings fits together: each rule raises ValueError that begins with the key at fault."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vector_assets.spec.head import HEADED, LABELLED, UNLABELLED, ClassHead
from vector_assets.spec.labels import PAIR_SOURCES, TIME_OF_FILES
from vector_assets.spec.losses import LOSS_SETTINGS, MOST

if TYPE_CHECKING:
    from vector_assets.spec.training import Training

#: Settings of learning by steps.
_STEPS = (
    "learning_rate", "batch_size", "evaluations_per_epoch", "patience", "max_epochs", "learn_tokens", "lora_rank",
    "search", "curve",
)  # fmt: skip


def check_training(training: Training) -> None:
    """Raise ValueError for the first thing that does not fit."""
    for rule in _RULES:
        rule(training)


def _learns_from_what_it_can(training: Training) -> None:
    if training.objective in UNLABELLED:
        for key in ("labels", *PAIR_SOURCES):
            if getattr(training, key) is not None:
                raise ValueError(f"{key}: {training.objective} learns from the rows' texts alone; leave {key} out")
        if training.trainable == "head":
            raise ValueError(f"trainable: {training.objective} has no head to learn alone; expected all or last_<k>")
        return
    needed, others = ("labels", PAIR_SOURCES) if training.objective in LABELLED else ("pairs", ("labels",))
    for other in others:
        if getattr(training, other) is not None:
            raise ValueError(f"{other}: {training.objective} learns from {needed}; leave {other} out")
    if getattr(training, needed) is None and not (needed == "pairs" and training.pair_sources):
        kinds = {
            "pairs": "a mapping with query, the name of a file, or triplets, relevance or clicks in its place",
            "labels": "a field, or a mapping with file",
        }
        raise ValueError(f"{needed}: is missing; {training.objective} learns from {needed}; expected {kinds[needed]}")
    if training.trainable == "head" and training.objective != "classification":
        raise ValueError(f"trainable: {training.objective} has no head to learn alone; expected all, last_<k> or lora")
    if training.objective == "triplet" and training.batch_size < 4:
        raise ValueError(f"batch_size: found {training.batch_size}; a triplet needs two labels twice, so at least 4")


def _reduction_fits(training: Training) -> None:
    if training.objective != "pca":
        return
    if training.trainable != "none":
        raise ValueError(f"trainable: found {training.trainable}; pca changes no layer; leave trainable out")
    if training.start != "pretrained":
        raise ValueError("start: pca reduces what the encoder knows already; leave start out")
    for key in _STEPS:
        if getattr(training, key) != type(training).model_fields[key].default:
            raise ValueError(f"{key}: pca is computed in one pass, not learned by steps; leave {key} out")


def _search_fits(training: Training) -> None:
    if training.trainable == "none" and training.objective != "pca" and not (training.search and training.search.layer):
        raise ValueError("trainable: none learns nothing; expected search: with layer beside it, or no train")
    if training.search and training.objective != "classification" and "head" in (training.search.trainable or ()):
        raise ValueError(f"search.trainable: {training.objective} has no head to learn alone; leave head out")
    if training.search and training.objective == "triplet" and min(training.search.batch_size or (4,)) < 4:
        raise ValueError("search.batch_size: a triplet needs two labels twice, so at least 4")
    if training.search and training.objective == "distillation":
        raise ValueError("search: distillation learns from a teacher in one run of its own; leave search out")
    if training.trainable == "none" and training.head != ClassHead():
        raise ValueError("head: nothing learns with trainable: none; leave head out, or choose what learns")


def _head_fits(training: Training) -> None:
    if training.head != ClassHead() and training.objective not in HEADED:
        raise ValueError(f"head: {training.objective} has no head; leave head out, or choose {' or '.join(HEADED)}")
    if training.head.start == "means" and training.objective != "arcface":
        raise ValueError(f"head.start: {training.objective} has a bias beside its weights; expected fitted or random")


def _loss_fits(training: Training) -> None:
    for name, known in LOSS_SETTINGS.items():
        searched: list[float] = getattr(training.search, name, None) or []
        for key, values in ((name, [getattr(training, name)]), (f"search.{name}", searched)):
            given = [value for value in values if value is not None]
            if given and training.objective not in known:
                raise ValueError(
                    f"{key}: {training.objective} has none; leave {name} out, or choose {' or '.join(known)}"
                )
            most = MOST.get(training.objective, float("inf"))
            if name == "margin" and given and max(given) >= most:
                raise ValueError(f"{key}: found {max(given):g}; of {training.objective} expected less than {most:g}")


def _extras_fit(training: Training) -> None:
    if training.negatives and training.objective != "contrastive":
        raise ValueError(f"negatives: {training.objective} has no use for them; expected contrastive, or leave it out")
    if training.matryoshka:
        if training.objective not in ("contrastive", "triplet", "dropout_pairs"):
            raise ValueError(
                f"matryoshka: {training.objective} learns no vectors that stand alone at each width; expected "
                "contrastive, triplet or dropout_pairs"
            )
        if len(set(training.matryoshka)) < len(training.matryoshka):
            raise ValueError(f"matryoshka: found {training.matryoshka}; expected each width once")
    if training.pretrain and training.objective in UNLABELLED:
        raise ValueError(f"pretrain: {training.objective} learns from texts alone already; leave pretrain out")
    for still in ("head", "none"):
        if training.pretrain and still in training.trainables:
            raise ValueError(f"pretrain: the encoder does not learn with trainable: {still}; expected all or last_<k>")
    if "lora" in training.trainables and training.denoises:
        raise ValueError("trainable: denoising ties the decoder to whole layers; expected all or last_<k>")
    if (training.objective == "distillation") != (training.teacher is not None):
        raise ValueError(
            "teacher: is missing; distillation needs the encoder to imitate, such as minilm"
            if training.teacher is None
            else f"teacher: {training.objective} has none; expected objective: distillation, or leave teacher out"
        )
    if training.layers and training.objective != "distillation" and training.start == "pretrained":
        raise ValueError(
            f"layers: {training.objective} keeps the encoder's own; expected objective: distillation or start: scratch"
        )


def _dropout_fits(training: Training) -> None:
    if training.dropout and training.objective in UNLABELLED:
        raise ValueError(f"dropout: {training.objective} learns from texts alone; leave dropout out")
    if training.dropout and (still := {"head", "mix", "none"} & set(training.trainables)):
        raise ValueError(f"dropout: no layer learns with trainable: {min(still)}; leave dropout out")


def _start_and_curve_fit(training: Training) -> None:
    if training.start == "scratch" and training.trainable != "all":
        raise ValueError(
            f"trainable: found {training.trainable}; with start: scratch no layer knows anything yet; expected all"
        )
    if training.start == "scratch" and training.search:
        raise ValueError("search: tries settings on the pretrained encoder; leave it or start: scratch out")
    if training.curve and training.objective == "distillation":
        raise ValueError("curve: distillation learns the teacher's vectors, of any text; leave curve out")
    if training.curve and training.trainable == "none":
        raise ValueError("curve: nothing learns with trainable: none; leave curve out, or choose what learns")


def _learns_from_one_source(training: Training) -> None:
    if len(training.pair_sources) > 1:
        raise ValueError(f"{training.pair_sources[1]}: stands beside {training.pair_sources[0]}; expected one of them")
    if training.split.by and (training.relevance or training.clicks):
        raise ValueError(f"split.by: {training.pair_sources[0]} are split by query; leave by out")
    if training.split.documents == "shared" and training.labels is not None:
        raise ValueError("split.documents: labelled texts have no queries to keep apart; expected apart")
    if training.split.by_time not in (None, TIME_OF_FILES) and training.from_file:
        raise ValueError(
            f"split.by_time: found {training.split.by_time}; the times of {training.pair_sources[0]} are in time"
        )


def _splits_are_apart(training: Training) -> None:
    validation, test = training.split.validation, training.split.test
    if isinstance(validation, list) and isinstance(test, list) and set(validation) & set(test):
        raise ValueError(f"split: {sorted(set(validation) & set(test))} stand in validation and in test")
    if isinstance(validation, list) != isinstance(test, list):
        raise ValueError("split: validation and test must both be lists of groups, or both shares")
    if isinstance(validation, list) and training.split.by is None:
        raise ValueError("split: named groups need by: the field they are values of")


_RULES = (
    _reduction_fits,
    _learns_from_what_it_can,
    _search_fits,
    _head_fits,
    _loss_fits,
    _extras_fit,
    _dropout_fits,
    _start_and_curve_fit,
    _learns_from_one_source,
    _splits_are_apart,
)
