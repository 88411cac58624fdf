"""``scores/<collection>``: what the encoder that serves is worth on declared tasks, with two arms beside it."""

import time

import dagster as dg

from vector_assets.assets.conditions import when_inputs_change
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import Metadata, dagster_tags, digests, numbers, speed, table
from vector_assets.assets.progress import StageProgress
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import Collection, Scores
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.scores import ARMS, Scored, score_live

CODE_VERSION = "1"


def build_scores(collection: Collection, declared: Scores) -> dg.AssetsDefinition:
    """Return the asset that runs the declared tasks; by automation only where the declaration says so."""

    @dg.asset(
        key=key("scores", collection),
        deps=[key("index", collection)],
        group_name=collection.name,
        kinds={"scikitlearn", "mlflow"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        pool="encoder",
        automation_condition=when_inputs_change() if declared.on_change else None,
        description=(
            f"Scores on {', '.join(declared.tasks)}, in the shape of MTEB's result files: the checkpoint that serves "
            "live, the untrained encoder, and its token vectors without context. What was scored before on the same "
            "data is not scored again."
        ),
    )
    def scores(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        started = time.perf_counter()
        stores = workspace.open()
        store = CollectionStore(stores, collection)
        found = score_live(store, tags=dagster_tags(context), progress=StageProgress(context))
        for arm in found.arms:
            if arm.note:
                context.log.warning(f"arm {arm.name} is left out: {arm.note}")
        for task in found.beaten:
            context.log.warning(f"{task}: token vectors alone score as well as the encoder that serves")
        metadata: Metadata = {
            "scores": table(_lines(found)),
            "main_scores": dg.MetadataValue.text(_said(found)),
            "checkpoints": digests({arm.name: arm.checkpoint for arm in found.arms if arm.checkpoint}),
            **numbers({"evaluated": found.evaluated}),
            **numbers({f"{task}_{data.main}": found.score("live", task) or 0.0 for task, data in found.tasks.items()}),
            **speed(0, time.perf_counter() - started),
            "results": dg.MetadataValue.path(str(found.folder)),
        }
        if found.run_id:
            metadata["mlflow_run"] = dg.MetadataValue.url(stores.mlflow_link(found.run_id, found.experiment))
        return dg.MaterializeResult(data_version=dg.DataVersion(found.version), metadata=metadata)

    return scores


def _lines(found: Scored) -> list[dict[str, str]]:
    """A line per task: its type, its main metric, what each arm has."""
    return [
        {"task": task, "type": data.kind, "metric": data.main, **{arm: _shown(found.score(arm, task)) for arm in ARMS}}
        for task, data in found.tasks.items()
    ]


def _said(found: Scored) -> str:
    return ", ".join(f"{task} {_shown(found.score('live', task))}" for task in found.tasks)


def _shown(score: float | None) -> str:
    return "" if score is None else f"{score:.4f}"
