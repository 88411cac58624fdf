"""A measured generation in MLflow: one run each, with its numbers and pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from vector_assets.index.pictures import draw_recall, draw_reliability
from vector_assets.records import Generation
from vector_assets.stores.calibrations import CalibratedMethod, known_calibrations
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.run_pages import DAGSTER_RUN, DAGSTER_URL, NOTE
from vector_assets.stores.tracked_run import TrackedRun

_RUN = "mlflow_run"


@dataclass(frozen=True, slots=True)
class Logged:
    """The run of a generation, and its pictures as files, by name; those that there is something to draw for."""

    run_id: str
    experiment: str
    pictures: Mapping[str, Path]


def log_generation(store: CollectionStore, generation: Generation, *, tags: Mapping[str, str]) -> Logged:
    """Write what was measured of a generation to its run in ``<collection>/candidates``, the same one every time."""
    collection, workspace = store.collection, store.workspace
    values = cast(Mapping[str, Any], workspace.generations.measures(generation))
    known = known_calibrations(store, generation)
    pictures = _draw(store, generation, values, known)
    before = cast(Mapping[str, str], values.get(_RUN) or {})
    note = f"Generation {generation.number} of collection `{collection.name}`, measured before it may go live"
    if DAGSTER_URL in tags:
        note += f", by [Dagster run {tags.get(DAGSTER_RUN, '').partition('-')[0]}]({tags[DAGSTER_URL]})"
    page = {**tags, "generation": str(generation.number), "checkpoint_set": generation.checkpoint_set, NOTE: f"{note}."}
    name = f"generation {generation.number}"
    with workspace.tracking.run(
        f"{collection.name}/candidates", name, tags=page, again=before.get("run_id")
    ) as run:  # fmt: skip
        if run.run_id != before.get("run_id"):
            run.params({f"checkpoint_{space}": digest for space, digest in generation.checkpoints.items()})
        _numbers(run, values, known)
        for path in pictures.values():
            run.artifact(path, folder="pictures")
    workspace.generations.measure(generation, {_RUN: {"run_id": run.run_id, "experiment": run.experiment_id}})
    return Logged(run.run_id, run.experiment_id, pictures)


def logged(store: CollectionStore, generation: Generation) -> Logged | None:
    """Return the run of a generation as it was written last; None before that."""
    found = cast(Mapping[str, str] | None, store.workspace.generations.measures(generation).get(_RUN))
    if not found:
        return None
    paths = {name: _path(store, generation, name) for name in ("recall_against_latency", "reliability")}
    return Logged(
        found["run_id"], found["experiment"], {name: path for name, path in paths.items() if path.is_file()}
    )  # fmt: skip


def _draw(
    store: CollectionStore, generation: Generation, values: Mapping[str, Any], known: Mapping[str, CalibratedMethod]
) -> dict[str, Path]:
    declared = store.collection.index
    title = f"{store.collection.name}, generation {generation.number}"
    recalls = cast(list[Mapping[str, float]], values.get("recalls") or [])
    asked = recalls[-1]["queries"] if recalls else 0
    found = {
        "recall_against_latency": draw_recall(
            recalls, _path(store, generation, "recall_against_latency"), declared=declared.recall,
            worst=declared.worst_recall,
            title=f"{title}: recall@10 by width of the search, {asked} queries against an exact scan",
        ),
        "reliability": draw_reliability(
            {name: (each.calibrated, each.kept) for name, each in known.items()},
            _path(store, generation, "reliability"),
            title=f"{title}: probability of a hit, on questions that calibration has not seen",
        ),
    }  # fmt: skip
    return {name: path for name, path in found.items() if path}


def _path(store: CollectionStore, generation: Generation, name: str) -> Path:
    return Path(store.workspace.artifacts) / "candidates" / generation.table / f"{name}.png"


def _numbers(run: TrackedRun, values: Mapping[str, Any], known: Mapping[str, CalibratedMethod]) -> None:
    """Log means by metric, each width of the index as a step, and of each method its errors and threshold."""
    scores = cast(Mapping[str, float], values.get("evaluation") or {})
    run.metrics({f"search/{name}".replace("@", "_at_"): value for name, value in scores.items()}, step=0)
    for space, levels in cast(Mapping[str, list[Mapping[str, float]]], values.get("levels") or {}).items():
        for each in levels:
            found_at = {f"label_levels/{space}/{name}": each[name] for name in ("map", "chance")}
            run.metrics(found_at, step=int(each["level"]))
    for each in cast(list[Mapping[str, float]], values.get("recalls") or []):
        numbers = {name: each[name] for name in ("mean", "worst", "p50", "p99") if each.get(name) is not None}
        run.metrics({f"recall_at_10/{name}": value for name, value in numbers.items()}, step=int(each["ef_search"]))
    for method, found in known.items():
        kept, calibrated = found.kept, found.calibrated
        told: dict[str, float | None] = {
            "threshold": kept.threshold, "stated_precision": kept.stated, "found_precision": kept.precision,
            "answered": kept.answered if calibrated.reliability else None,
            "ece": calibrated.reliability.ece if calibrated.reliability else None,
            "brier": calibrated.reliability.brier if calibrated.reliability else None,
            "calibration_questions": float(calibrated.questions),
            **{f"log_loss_{form}": loss for form, loss in calibrated.losses.items()},
        }  # fmt: skip
        run.metrics({f"{method}/{name}": value for name, value in told.items() if value is not None}, step=0)
