"""The scores stage against the stores: each arm on each task, once per checkpoint and data."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import store_untrained
from vector_assets.encoder.resolve import STATIC
from vector_assets.errors import EncoderError, NotFound
from vector_assets.index.scores import Reading, TaskData, as_result, main_score, numbers_of
from vector_assets.records import Checkpoint
from vector_assets.spec import Collection, Scores
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.json_files import read_json, write_json
from vector_assets.stores.revisions import space_settings
from vector_assets.stores.run_pages import DAGSTER_RUN, DAGSTER_URL, NOTE, DatasetInput, log_inputs
from vector_assets.stores.score_data import ScoreData
from vector_assets.stores.tracked_run import TrackedRun
from vector_assets.stores.workspace import Workspace, checked_encoder

ARMS = ("live", "untrained", "static")
#: Told how many of an arm's texts are encoded for a task.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class ScoredArm:
    """One checkpoint with its result on each task; without a checkpoint ``note`` says why."""

    name: str
    checkpoint: str | None
    results: Mapping[str, Mapping[str, Any]]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Scored:
    """What was scored. ``evaluated`` counts results computed in this run; the others were known."""

    arms: tuple[ScoredArm, ...]
    tasks: Mapping[str, TaskData]
    evaluated: int
    version: str
    folder: Path
    run_id: str | None = None
    experiment: str | None = None

    def score(self, arm: str, task: str) -> float | None:
        """Return the main score; None where the arm could not be made."""
        found = next(one for one in self.arms if one.name == arm).results.get(task)
        return main_score(found) if found else None

    @property
    def beaten(self) -> list[str]:
        """Tasks in which the token vectors alone are as good as what serves: its context brings nothing there."""
        pairs = {task: (self.score("static", task), self.score("live", task)) for task in self.tasks}
        same = len({one.checkpoint for one in self.arms if one.name != "untrained"}) == 1
        return [] if same else [task for task, (a, b) in pairs.items() if a is not None and b is not None and a >= b]


def score_live(store: CollectionStore, *, tags: Mapping[str, str], progress: Progress | None = None) -> Scored:
    """Score the live checkpoint, the untrained one and its token vectors on all declared tasks.

    A result is kept under the checkpoint's digest with the digest of its data; neither changed, nothing is computed.
    What was computed is an MLflow run of the experiment ``<collection>/scores``. Raises NotFound before something
    is live.
    """
    collection, workspace = store.collection, store.workspace
    declared, space = collection.scores, collection.scored_space
    if declared is None or space is None:
        raise NotFound(f"collection {collection.name} declares no scores:; expected tasks below that key")
    live = workspace.generations.live(collection.name)
    if live is None or space not in live.checkpoints:
        raise NotFound(f"collection {collection.name} has no live generation with space {space}; materialize it first")
    data = ScoreData(store, declared, space)
    tasks = {name: data.read(name, task) for name, task in declared.tasks.items()}
    revisions = {name: task.revision for name, task in tasks.items()}
    checkpoints, notes = _arms(workspace, collection, space, live.checkpoints[space])
    folder = Path(workspace.artifacts) / "scores" / collection.name / space
    missing = {
        (arm, name)
        for arm, checkpoint in checkpoints.items()
        for name in tasks
        if _known(folder, checkpoint.digest, name, revisions[name], declared) is None
    }
    version = _version(checkpoints, revisions, declared)
    head = read_json(folder / "latest.json")
    run_id, experiment = head.get("run_id"), head.get("experiment")
    if missing or head.get("version") != version:
        page = _page(tags, collection, space, checkpoints)
        workspace.tracking.end_lost(f"{collection.name}/scores")
        with workspace.tracking.run(f"{collection.name}/scores", f"scores {version[:8]}", tags=page) as run:
            run.params({"space": space, **{f"checkpoint_{arm}": one.digest for arm, one in checkpoints.items()}})
            log_inputs(run, _inputs(tasks, revisions))
            for arm, checkpoint in checkpoints.items():
                _evaluate(workspace, checkpoint, tasks, revisions, declared, folder, _named(progress, arm))
                _log(run, arm, folder / checkpoint.digest, list(tasks))
        run_id, experiment = run.run_id, run.experiment_id
        write_json(folder / "latest.json", {"version": version, "run_id": run_id, "experiment": experiment})
    arms = tuple(_scored(folder, arm, checkpoints.get(arm), list(tasks), notes.get(arm, "")) for arm in ARMS)
    return Scored(arms, tasks, _count(missing, checkpoints), version, folder, run_id, experiment)


def _arms(
    workspace: Workspace, collection: Collection, space: str, live: str
) -> tuple[dict[str, Checkpoint], dict[str, str]]:
    """Return the checkpoint of each arm, and why one cannot be made."""
    declared = collection.spaces[space]
    settings = space_settings(workspace, collection, space)
    assert isinstance(settings, ContractSettings), "a space of texts"
    found = {"live": workspace.checkpoints.get(live)}
    notes: dict[str, str] = {}
    # Prefixes are for a model that reads them; in a mean of token vectors they would be a part of every text.
    table = replace(settings, query_prefix=None, document_prefix=None, layer=None)
    is_table = declared.encoder.startswith(STATIC)
    made = {
        "untrained": (declared.encoder, settings),
        "static": (declared.encoder, settings) if is_table else (STATIC + declared.encoder, table),
    }
    for arm, (name, asked) in made.items():
        try:
            stored = store_untrained(
                name, workspace.checkpoint_folder, folder=collection.folder, models=workspace.tracked_model,
                settings=asked,
            )  # fmt: skip
        except EncoderError as error:
            if arm != "static":
                raise
            notes[arm] = str(error)  # a yardstick that cannot be made stops no measurement
        else:
            workspace.checkpoints.save(stored)
            found[arm] = stored
    return found, notes


def _evaluate(
    workspace: Workspace, checkpoint: Checkpoint, tasks: Mapping[str, TaskData], revisions: Mapping[str, str],
    declared: Scores, folder: Path, progress: Callable[[str], Callable[[int, int], None]],
) -> None:  # fmt: skip
    """Compute what is not known of one checkpoint; its encoder is loaded when there is something."""
    reading: Reading | None = None
    for name, task in tasks.items():
        if _known(folder, checkpoint.digest, name, revisions[name], declared) is not None:
            continue
        if reading is None:
            reading = Reading(checked_encoder(checkpoint))
        reading.progress = progress(name)
        started = time.perf_counter()
        scores = task.score(reading)
        result = as_result(
            name, revisions[name], scores, languages=declared.languages, seconds=time.perf_counter() - started
        )
        write_json(folder / checkpoint.digest / f"{name}.json", result)


def _named(progress: Progress | None, arm: str) -> Callable[[str], Callable[[int, int], None]]:
    def of_task(task: str) -> Callable[[int, int], None]:
        return lambda done, total: progress(done, total, f"{arm}, {task}") if progress else None

    return of_task


def _known(folder: Path, digest: str, task: str, revision: str, declared: Scores) -> Mapping[str, Any] | None:
    """Return the stored result of a checkpoint on these very data."""
    found = read_json(folder / digest / f"{task}.json")
    if found.get("dataset_revision") != revision:
        return None
    (entry,) = found["scores"]["test"]
    return found if entry["languages"] == declared.languages else None


def _scored(folder: Path, arm: str, checkpoint: Checkpoint | None, tasks: list[str], note: str) -> ScoredArm:
    if checkpoint is None:
        return ScoredArm(arm, None, {}, note)
    results = {name: read_json(folder / checkpoint.digest / f"{name}.json") for name in tasks}
    return ScoredArm(arm, checkpoint.digest, results, note)


def _count(missing: set[tuple[str, str]], checkpoints: Mapping[str, Checkpoint]) -> int:
    """Count results, not arms: two arms that are one checkpoint share theirs."""
    return len({(checkpoints[arm].digest, name) for arm, name in missing})


def _log(run: TrackedRun, arm: str, folder: Path, tasks: list[str]) -> None:
    for name in tasks:
        path = folder / f"{name}.json"
        run.artifact(path, folder=f"results/{arm}")
        found = numbers_of(read_json(path))
        run.metrics({f"{name}/{arm}/{metric}": value for metric, value in found.items()}, step=0)


def _inputs(tasks: Mapping[str, TaskData], revisions: Mapping[str, str]) -> list[DatasetInput]:
    return [
        DatasetInput(name, revisions[name], "test", f"scores.tasks.{name}", ("text",), {"kind": task.kind})
        for name, task in tasks.items()
    ]


def _page(
    tags: Mapping[str, str], collection: Collection, space: str, checkpoints: Mapping[str, Checkpoint]
) -> dict[str, str]:
    """Return the tags of the run, with a description that leads back to Dagster."""
    note = f"Scores of space `{space}` of collection `{collection.name}` on its declared tasks"
    if DAGSTER_URL in tags:
        note += f", asked for by [Dagster run {tags.get(DAGSTER_RUN, '').partition('-')[0]}]({tags[DAGSTER_URL]})"
    return {**tags, "checkpoint": checkpoints["live"].digest, NOTE: f"{note}. Arms: {', '.join(checkpoints)}."}


def _version(checkpoints: Mapping[str, Checkpoint], revisions: Mapping[str, str], declared: Scores) -> str:
    parts = [sorted((arm, one.digest) for arm, one in checkpoints.items()), sorted(revisions.items())]
    return hashlib.sha256(json.dumps([*parts, declared.languages]).encode()).hexdigest()
