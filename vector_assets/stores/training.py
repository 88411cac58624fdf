"""The training stages against the stores: draw a training set, find or make the checkpoint that its key names."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from psycopg import sql

from vector_assets.embedding.text import row_text
from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import store_untrained
from vector_assets.encoder.resolve import resolve_encoder
from vector_assets.errors import NotFound, SourceError
from vector_assets.records import Checkpoint, Comparison, Key, TrainingSet, Value
from vector_assets.source.keys import row_key
from vector_assets.source.pairs_file import read_labels, read_pairs
from vector_assets.spec import Collection, FieldPairs, LabelsFile, Training
from vector_assets.stores.checkpoints import Registered, StoredEncoder
from vector_assets.stores.mlflow_runs import TrackedRun
from vector_assets.stores.relation import columns
from vector_assets.stores.workspace import Workspace
from vector_assets.training.loop import Progress
from vector_assets.training.pairs import PairRow, pairs_from_rows
from vector_assets.training.run import Trained, resume_of, store_base, train, training_key


@dataclass(frozen=True, slots=True)
class Drawn:
    """A training set, and whether it was drawn now or kept."""

    training_set: TrainingSet
    drawn: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """The checkpoint that a space uses next. ``comparison`` is tuned against base on test pairs, when trained."""

    checkpoint: Checkpoint
    trained_now: bool
    comparison: Comparison | None
    result: Mapping[str, object]
    registered: Registered
    pictures: Mapping[str, Path] = field(default_factory=dict)
    warning: str | None = None

    @property
    def accuracy(self) -> Comparison | None:
        """The head against the logistic regression on the base's vectors, of a classification."""
        found = self.result.get("accuracy")
        return Comparison(**cast(dict[str, Any], found)) if found else None


def draw_training_set(workspace: Workspace, collection: Collection, space: str, *, refresh: bool) -> Drawn:
    """Return the snapshot of this declaration; draw it where there is none, or when asked to."""
    training = _training(collection, space)
    declared = _declaration(collection, space)
    known = workspace.checkpoints.latest_training_set(collection.name, space, declared)
    if known and not refresh:
        return Drawn(workspace.checkpoints.training_set(known), drawn=False)
    training_set = pairs_from_rows(_rows(workspace, collection, space), training)
    workspace.checkpoints.save_training_set(collection.name, space, declared, training_set)
    return Drawn(training_set, drawn=True)


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
    settings = ContractSettings(declared.max_tokens, declared.query_prefix, declared.document_prefix)
    if declared.train is None:
        return _untrained(workspace, collection, space, settings, tags)
    base = resolve_encoder(declared.encoder, folder=collection.folder, models=workspace.tracked_model)
    digest = workspace.checkpoints.latest_training_set(collection.name, space, _declaration(collection, space))
    if digest is None:
        raise NotFound(
            f"training_set {collection.name}/{space} is not drawn yet; "
            f"run vector-assets materialize {collection.name} --stage training_set"
        )
    training_set = workspace.checkpoints.training_set(digest)
    stored = store_base(training_set, declared.train, base, workspace.checkpoint_folder, settings)
    workspace.checkpoints.save(stored)
    key = training_key(digest, declared.train, stored.digest, settings)
    known = _known(workspace, key)
    trained_now = known is None
    if known is None:
        _train(workspace, collection, space, training_set, base, settings, dict(tags), progress)
        known = _known(workspace, key)
    assert known is not None
    checkpoint, result = known
    workspace.checkpoints.set_encoder(collection.name, space, StoredEncoder(checkpoint.digest, key, digest))
    return Settled(
        checkpoint,
        trained_now=trained_now,
        comparison=Comparison(**cast(dict[str, float], result["comparison"])),  # type: ignore[arg-type]
        result=result,
        registered=workspace.checkpoints.registered(checkpoint.digest),
        pictures=_pictures(result),
        warning=_warning(result, declared.train),
    )


def _untrained(
    workspace: Workspace,
    collection: Collection,
    space: str,
    settings: ContractSettings,
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
        with workspace.tracking.run(experiment, "base", tags={**tags, "arm": "base"}) as run:
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
    settings: ContractSettings,
    tags: dict[str, str],
    progress: Callable[[Progress], None] | None,
) -> None:
    training = _training(collection, space)
    experiment = f"{collection.name}/{space}"
    unfinished = workspace.checkpoint_folder / ".unfinished"
    with (
        workspace.tracking.run(experiment, f"train {training_set.digest[:8]}", tags=tags | _environment()) as run,
        workspace.tracking.run(experiment, "base (run 0)", tags=tags, parent=run) as base_run,
    ):
        trained = train(
            training_set, training, base,
            destination=workspace.checkpoint_folder, log=run, base_log=base_run, settings=settings,
            report_folder=_report_folder(workspace, training_set, training, base, settings), progress=progress,
            resume_folder=unfinished,
        )  # fmt: skip
        workspace.checkpoints.save(trained.checkpoint, training_key=trained.key if trained.improved else None)
        _register(workspace, collection, space, run, trained.checkpoint)
    workspace.checkpoints.save_training(
        trained.key, collection.name, space,
        training_set=training_set.digest, base=trained.base.digest, checkpoint=trained.checkpoint.digest,
        result=_result(trained),
    )  # fmt: skip
    resume_of(unfinished, trained.key).clear()


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


def _known(workspace: Workspace, key: str) -> tuple[Checkpoint, Mapping[str, object]] | None:
    """Return what a key gave, when its files are still there."""
    known = workspace.checkpoints.training(key)
    if known is None:
        return None
    checkpoint = workspace.checkpoints.get(known[0])
    if not checkpoint.folder.is_dir():
        return None
    return checkpoint, known[1]


def _result(trained: Trained) -> dict[str, object]:
    return {
        "comparison": asdict(trained.comparison),
        "accuracy": asdict(trained.classified) if trained.classified else None,
        "test": dict(trained.test),
        "base_test": dict(trained.base_test),
        "validation": dict(trained.validation),
        "base_validation": dict(trained.base_validation),
        "chosen_by": trained.history.metric,
        "gap": trained.history.gap,
        "resumed_at": trained.history.resumed_at,
        "seconds": trained.history.seconds,
        "steps": len(trained.history.steps),
        "best_step": trained.history.best_step,
        "improved": trained.improved,
        "report": [str(path) for path in trained.report],
        "head": str(trained.head) if trained.head else None,
    }


def _rows(workspace: Workspace, collection: Collection, space: str) -> Iterator[PairRow]:
    training = _training(collection, space)
    if training.labels is not None:
        return _labelled_rows(workspace, collection, space)
    if isinstance(training.pairs, FieldPairs):
        return _field_pairs(workspace, collection, space)
    assert training.pairs is not None
    return _file_pairs(collection.resolve(training.pairs))


def _labelled_rows(workspace: Workspace, collection: Collection, space: str) -> Iterator[PairRow]:
    """Stream the rows that have a label: of a field, or of a file that names rows by their ids."""
    training = _training(collection, space)
    by = [training.split.by] if training.split.by else []
    if isinstance(training.labels, LabelsFile):
        url = collection.resolve(training.labels.file)
        labels = read_labels(url, workspace.raw.relation(collection).key)
        for key, values in _read(workspace, collection, space, by):
            label = labels.pop(key, "")
            yield PairRow(key, "", row_text(values[len(by) :]), str(values[0] or "") if by else "", label)
        if labels:
            raise SourceError(
                f"{url}: row {next(iter(labels))} is not in {collection.name}, nor are {len(labels) - 1} others"
            )
        return
    assert training.labels is not None
    for key, (value, *values) in _read(workspace, collection, space, [training.labels, *by]):
        said = "" if value is None else str(value)
        yield PairRow(key, "", row_text(values[len(by) :]), str(values[0] or "") if by else "", said)


def _field_pairs(workspace: Workspace, collection: Collection, space: str) -> Iterator[PairRow]:
    """Stream pairs of the collection's own rows: one field asks, the space's text answers."""
    training = _training(collection, space)
    assert isinstance(training.pairs, FieldPairs)
    by = [training.split.by] if training.split.by else []
    for key, (query, *values) in _read(workspace, collection, space, [training.pairs.query, *by]):
        group = str(values[0] or "") if by else ""
        yield PairRow(key, str(query or ""), row_text(values[len(by) :]), group)


def _read(
    workspace: Workspace, collection: Collection, space: str, fields: Sequence[str]
) -> Iterator[tuple[str, list[Value]]]:
    """Stream JSON row key, the values of some fields, and then those of the fields that the space reads."""
    relation = workspace.raw.relation(collection)
    query = sql.SQL("select {}, {} from {} r order by {}").format(
        relation.source_key("r"), columns([*fields, *collection.spaces[space].fields], "r"), relation.table,
        relation.source_key("r"),
    )  # fmt: skip
    size = len(relation.key)
    with workspace.database.connect() as connection, connection.cursor(name="pairs") as cursor:
        cursor.itersize = 5000
        for row in cursor.execute(query):
            yield row_key(cast(Key, row[:size])), cast(list[Value], list(row[size:]))


def _file_pairs(path: str) -> Iterator[PairRow]:
    for pair in read_pairs(path):
        yield PairRow("", pair.query, pair.document, pair.group or "")


def _declaration(collection: Collection, space: str) -> str:
    """Digest of what decides which pairs are drawn; how they are learned from is not part of it."""
    training = _training(collection, space)
    deciding = {"pairs", "split", "max_pairs", "max_validation", "max_test", "seed"}
    drawn = training.model_dump(mode="json", include=deciding | ({"labels"} if training.labels else set()))
    text = json.dumps([drawn, list(collection.spaces[space].fields)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _training(collection: Collection, space: str) -> Training:
    training = collection.spaces[space].train
    if training is None:
        raise NotFound(f"space {collection.name}/{space} declares no train:, so there is no training set")
    return training


def _report_folder(
    workspace: Workspace, training_set: TrainingSet, training: Training, base: Path, settings: ContractSettings
) -> Path:
    name = training_key(training_set.digest, training, str(base), settings)
    return Path(workspace.artifacts) / "reports" / name


def _warning(result: Mapping[str, object], training: Training) -> str | None:
    """Say that training has learned its examples rather than what they have in common; None when it has not."""
    gap = float(str(result.get("gap", 0.0)))
    if gap <= training.max_gap:
        return None
    return (
        f"too little data: by {result['chosen_by']}, what was learned from came {gap:.3f} further than validation, "
        f"more than max_gap {training.max_gap}; expected more examples, or fewer layers that learn"
    )


def _pictures(result: Mapping[str, object]) -> dict[str, Path]:
    paths = [Path(str(path)) for path in cast(list[str], result.get("report", []))]
    return {path.stem: path for path in paths if path.suffix == ".png" and path.is_file()}
