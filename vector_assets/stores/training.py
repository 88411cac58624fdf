"""The training stage against the stores: find or make the checkpoint that its key names."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from vector_assets.encoder.files import check_folder
from vector_assets.encoder.image.checkpoint import ImageSettings
from vector_assets.encoder.image.files import check_image_folder
from vector_assets.encoder.intact import require_intact
from vector_assets.encoder.open import Settings, store_untrained
from vector_assets.encoder.resolve import resolve_encoder
from vector_assets.errors import NotFound, SpecError
from vector_assets.records import Checkpoint, Comparison, TrainingSet
from vector_assets.spec import Collection, Training
from vector_assets.stores.checkpoints import Registered, StoredEncoder
from vector_assets.stores.pictures import forget_images, with_images
from vector_assets.stores.revisions import space_settings
from vector_assets.stores.run_pages import continue_killed, dataset_inputs, log_inputs, page_tags
from vector_assets.stores.searching import SearchRuns
from vector_assets.stores.tracked_run import TrackedRun
from vector_assets.stores.training_results import Settled, known_training, reported, result_of, warning_of
from vector_assets.stores.training_sets import drawn_training_set, training_of
from vector_assets.stores.workspace import Workspace
from vector_assets.training.history import Progress
from vector_assets.training.key import training_key
from vector_assets.training.reduction import reduce_dims
from vector_assets.training.run import resume_of, store_base, train
from vector_assets.training.search import clear, search, search_folder


def settle_encoder(
    workspace: Workspace,
    collection: Collection,
    space: str,
    *,
    tags: Mapping[str, str],
    progress: Callable[[Progress], None] | None = None,
) -> Settled:
    """Return the checkpoint of a space: known by its key, trained now, or the encoder's own when untrained."""
    declared = collection.spaces[space]
    settings = space_settings(workspace, collection, space)
    if declared.train is None:
        return _untrained(workspace, collection, space, settings, tags)
    check = check_image_folder if isinstance(settings, ImageSettings) else check_folder
    base = resolve_encoder(declared.encoder, folder=collection.folder, models=workspace.tracked_model, check=check)
    training_set = drawn_training_set(workspace, collection, space)
    digest = training_set.digest
    stored = store_base(training_set, declared.train, base, workspace.checkpoint_folder, settings)
    workspace.checkpoints.save(stored)
    teacher = _teacher(workspace, collection, space)
    key = training_key(
        digest, declared.train, stored.digest, settings, teacher=teacher.digest if teacher else None
    )  # fmt: skip
    workspace.tracking.end_lost(f"{collection.name}/{space}")
    known = known_training(workspace, key)
    trained_now = known is None
    if known is None:
        described = page_tags(dict(tags), collection, space, training_set, key)
        _train(workspace, collection, space, training_set, base, settings, described, progress, teacher, key)
        known = known_training(workspace, key)
    assert known is not None
    checkpoint, result = known
    workspace.checkpoints.set_encoder(collection.name, space, StoredEncoder(checkpoint.digest, key, digest))
    registered = workspace.checkpoints.registered(checkpoint.digest)
    if registered.version and registered.model == f"{collection.name}.{space}":
        workspace.tracking.set_candidate(registered.model, registered.version)
    return Settled(
        checkpoint,
        trained_now=trained_now,
        comparison=Comparison(**cast(dict[str, float], result["comparison"])),  # type: ignore[arg-type]
        result=result,
        registered=registered,
        pictures=reported(result, ".png"),
        tables=reported(result, ".csv"),
        warning=warning_of(result, declared.train),
    )


def _untrained(
    workspace: Workspace,
    collection: Collection,
    space: str,
    settings: Settings,
    tags: Mapping[str, str],
) -> Settled:
    checkpoint = store_untrained(
        collection.spaces[space].encoder, workspace.checkpoint_folder,
        folder=collection.folder, models=workspace.tracked_model, settings=settings,
    )  # fmt: skip
    workspace.checkpoints.save(checkpoint)
    registered = workspace.checkpoints.registered(checkpoint.digest)
    if registered.version is None:
        experiment = f"{collection.name}/{space}"
        described = page_tags({**tags, "arm": "base"}, collection, space)
        with workspace.tracking.run(experiment, "base", tags=described) as run:
            run.params({"encoder": collection.spaces[space].encoder, "checkpoint": checkpoint.digest})
            registered = _register(workspace, collection, space, run, checkpoint)
    workspace.checkpoints.set_encoder(collection.name, space, StoredEncoder(checkpoint.digest, None, None))
    return Settled(checkpoint, trained_now=False, comparison=None, result={}, registered=registered)


def _train(
    workspace: Workspace,
    collection: Collection,
    space: str,
    training_set: TrainingSet,
    base: Path,
    settings: Settings,
    tags: dict[str, str],
    progress: Callable[[Progress], None] | None,
    teacher: Checkpoint | None,
    key: str,
) -> None:
    training = training_of(collection, space)
    training_set = with_images(workspace, collection, space, training_set, key)
    unfinished = workspace.checkpoint_folder / ".unfinished"
    runs = SearchRuns(workspace.tracking, f"{collection.name}/{space}", tags, search_folder(unfinished, key))
    opened = runs.kept if training.search else runs.new
    name = f"{'search' if training.search else 'train'} {training_set.digest[:8]}"
    with (
        opened(name, tags=tags | _environment() | {"arm": "tuned"}) as run,
        opened("base (run 0)", tags=tags | {"arm": "base"}, parent=run) as base_run,
    ):
        log_inputs(run, dataset_inputs(workspace.database, collection, space, training_set))
        common: dict[str, Any] = {
            "destination": workspace.checkpoint_folder, "log": run, "base_log": base_run, "settings": settings,
            "report_folder": _report_folder(workspace, training_set, training, base, settings, teacher),
            "progress": progress,
        }  # fmt: skip
        if training.search:
            trials = partial(runs.trial, parent=run)
            trained = search(training_set, training, base, unfinished=unfinished, open_trial=trials, **common)
        elif training.objective == "pca":
            trained = reduce_dims(training_set, training, base, **common)
        else:
            continue_killed(workspace.tracking, f"{collection.name}/{space}", run, key)
            trained = train(training_set, training, base, resume_folder=unfinished, teacher=teacher, **common)
        workspace.checkpoints.save(trained.base)  # from scratch it is not what was started from
        workspace.checkpoints.save(trained.checkpoint, training_key=trained.key if trained.improved else None)
        workspace.tracking.register_base(
            base_run, f"{collection.name}.{space}", trained.base.folder, trained.base.digest
        )  # fmt: skip
        _register(workspace, collection, space, run, trained.checkpoint)
    workspace.checkpoints.save_training(
        trained.key, collection.name, space,
        training_set=training_set.digest, base=trained.base.digest, checkpoint=trained.checkpoint.digest,
        result=result_of(trained),
    )  # fmt: skip
    found = trained.searched
    if found and found.best is not None and "layer" not in found.settings:
        # Whoever writes the best settings into the declaration, without a search, has this checkpoint at once.
        workspace.checkpoints.save_training(
            found.key, collection.name, space,
            training_set=training_set.digest, base=trained.base.digest, checkpoint=trained.checkpoint.digest,
            result={**result_of(trained), "search": None},
        )  # fmt: skip
    resume_of(unfinished, trained.key).clear()
    clear(search_folder(unfinished, trained.key))
    forget_images(workspace, key)


def _teacher(workspace: Workspace, collection: Collection, space: str) -> Checkpoint | None:
    """Return the stored encoder that a student imitates: of another space, or of any name that encoder: takes."""
    name = training_of(collection, space).teacher
    if name is None:
        return None
    if name.startswith("collection:"):
        owner, _, other = name.removeprefix("collection:").partition("/")
        if (owner, other) == (collection.name, space):
            raise SpecError(f"train.teacher: {name} is the student itself; expected another space, or an encoder")
        stored = workspace.checkpoints.encoder(owner, other)
        if stored is None:
            raise NotFound(
                f"train.teacher: {name} has no checkpoint; expected collection:NAME/SPACE, materialized once"
            )
        known = workspace.checkpoints.get(stored.checkpoint)
        require_intact(known, noted=True)  # before a run begins; whoever encodes with it compares its canaries as well
        return known
    return store_untrained(
        name, workspace.checkpoint_folder, folder=collection.folder, models=workspace.tracked_model
    )  # fmt: skip


def _environment() -> dict[str, str]:
    """What the run depends on beside its key: the versions that a later difference may be traced to."""
    names = ("torch", "transformers", "sentence-transformers", "numpy", "vector-assets")
    return {"python": platform.python_version(), **{f"version/{name}": metadata.version(name) for name in names}}


def _register(
    workspace: Workspace, collection: Collection, space: str, run: TrackedRun, checkpoint: Checkpoint
) -> Registered:
    """Log the checkpoint's files and register them; ``SentenceTransformer`` loads the folder as it is."""
    name = f"{collection.name}.{space}"
    run.artifact(checkpoint.folder, folder="checkpoint")
    version = workspace.tracking.register(run, name, "checkpoint", tags={"checkpoint": checkpoint.digest})
    registered = Registered(run.run_id, name, version, run.experiment_id)
    workspace.checkpoints.register(checkpoint.digest, registered)
    return registered


def _report_folder(
    workspace: Workspace,
    training_set: TrainingSet,
    training: Training,
    base: Path,
    settings: Settings,
    teacher: Checkpoint | None,
) -> Path:
    digest = teacher.digest if teacher else None
    name = training_key(training_set.digest, training, str(base), settings, teacher=digest)
    return Path(workspace.artifacts) / "reports" / name
