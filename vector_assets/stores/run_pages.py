"""What the MLflow page of a training says beside its numbers: what it read, who asked for it, what it continues."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import sql

from vector_assets.records import SplitName, TrainingSet
from vector_assets.spec import Collection
from vector_assets.stores.database import Database
from vector_assets.stores.mlflow_runs import KEY, Tracking
from vector_assets.stores.tracked_run import TrackedRun
from vector_assets.stores.training_sets import training_of

#: Under which names the training stage and its caller tag a run.
DAGSTER_RUN, DAGSTER_URL = "dagster/run_id", "dagster/run_url"
NOTE = "mlflow.note.content"
_CONTEXTS: dict[SplitName, str] = {"train": "training", "validation": "validation", "test": "test"}


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """What a run read, as its page shows it. ``source`` says how a person gets at it; ``columns`` are its text columns.

    MLflow keeps 36 characters of the digest.
    """

    name: str
    digest: str
    context: str
    source: str
    columns: Sequence[str]
    profile: Mapping[str, float | str]


def log_inputs(run: TrackedRun, datasets: Sequence[DatasetInput]) -> None:
    """Show what a run read under Datasets of its page."""
    from mlflow.entities import Dataset, InputTag
    from mlflow.entities import DatasetInput as Input
    from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

    logged = []
    for one in datasets:
        schema = {"mlflow_colspec": [{"name": name, "type": "string"} for name in one.columns]}
        dataset = Dataset(
            one.name, one.digest[:36], "local", json.dumps({"uri": one.source}), json.dumps(schema),
            json.dumps(dict(one.profile)),
        )  # fmt: skip
        logged.append(Input(dataset, [InputTag(MLFLOW_DATASET_CONTEXT, one.context)]))
    run.client.log_inputs(run.run_id, logged)


def dataset_inputs(
    database: Database, collection: Collection, space: str, training_set: TrainingSet
) -> list[DatasetInput]:
    """Return a data set for each split of a training set; its source is the statement that reads it."""
    labelled = training_of(collection, space).labels is not None
    columns = ("document", "label") if labelled else ("query", "document")
    return [
        DatasetInput(
            f"{collection.name}/{space} {split}", training_set.digest, _CONTEXTS[split],
            _statement(database, training_set.digest, split, columns), columns, _profile(training_set, split),
        )
        for split in _CONTEXTS
    ]  # fmt: skip


def page_tags(
    tags: Mapping[str, str], collection: Collection, space: str, training_set: TrainingSet | None = None, key: str = ""
) -> dict[str, str]:
    """Add a description with the way back to Dagster where one is known, and the key of a training."""
    note = f"Encoder of space `{space}` of collection `{collection.name}`"
    if DAGSTER_URL in tags:
        run = tags.get(DAGSTER_RUN, "")
        note += f", asked for by [Dagster run {run.partition('-')[0]}]({tags[DAGSTER_URL]})"
    if training_set is None:
        return {**tags, NOTE: f"{note}. Untrained: there is nothing to learn from."}
    note += f". Learns from training set `{training_set.digest[:12]}`; key `{key[:12]}`."
    return {**tags, KEY: key, "training_set": training_set.digest, NOTE: note}


def continue_killed(tracking: Tracking, experiment: str, run: TrackedRun, key: str) -> None:
    """Let a run and the killed one before it of the same key name each other."""
    before = tracking.killed(experiment, key)
    if before is not None:
        run.tags({"continues": before.run_id})
        before.tags({"continued_by": run.run_id})


def _profile(training_set: TrainingSet, split: SplitName) -> dict[str, float | str]:
    pairs = training_set.split(split)
    labels = {pair.label for pair in pairs if pair.label}
    profile: dict[str, float | str] = {"num_rows": len(pairs), "groups": len({pair.group for pair in pairs})}
    if labels:
        profile["labels"] = len(labels)
    if split == "train":  # what was left out is counted once
        profile |= {name: count for name, count in training_set.report.items() if name not in _CONTEXTS}
    return profile


def _statement(database: Database, digest: str, split: SplitName, columns: Sequence[str]) -> str:
    asked = database.compose(
        "select {columns} from {ops}.training_pairs where training_set = {digest} and split = {split} order by item",
        columns=sql.SQL(", ").join(map(sql.Identifier, columns)), digest=sql.Literal(digest), split=sql.Literal(split),
    )  # fmt: skip
    return asked.as_string()
