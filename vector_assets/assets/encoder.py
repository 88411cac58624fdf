"""``encoder/<collection>/<space>``: the checkpoint that rows are encoded with."""

import time

import dagster as dg

from vector_assets.assets.drift import when_drawn_anew
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import (
    Metadata,
    comparison_table,
    contract_table,
    csv_table,
    dagster_tags,
    numbers,
    search_metadata,
    speed,
    table,
)
from vector_assets.assets.pictures import picture
from vector_assets.assets.progress import StageProgress
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import Collection, Space
from vector_assets.stores.training import settle_encoder
from vector_assets.training.history import Progress
from vector_assets.training.key import CODE_VERSION


def build_encoder(collection: Collection, space: str) -> dg.AssetsDefinition:
    """Return the asset of one space; it is the only place that may ask a model hub."""
    declared = collection.spaces[space]

    @dg.asset(
        key=key("encoder", collection, space),
        deps=[key("training_set", collection, space)] if declared.train else [],
        group_name=collection.name,
        kinds={"pytorch", "mlflow"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        pool="encoder",
        automation_condition=when_drawn_anew(collection) if declared.train else None,
        description=(f"Checkpoint of space {space}, from {declared.encoder}, {_made(declared)}"),
    )
    def encoder(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        started = time.perf_counter()
        shown = StageProgress(context)

        def progress(now: Progress) -> None:
            shown(now.step, now.steps, now.words)

        stores = workspace.open()
        settled = settle_encoder(stores, collection, space, tags=dagster_tags(context), progress=progress)
        metadata: Metadata = {}
        if settled.comparison:
            metric = settled.comparison.metric
            metadata |= numbers(
                {f"test_{metric}": settled.comparison.new, f"base_test_{metric}": settled.comparison.old}
            )
            metadata["tuned_against_base"] = comparison_table(settled.comparison, old="base", new="tuned")
        if settled.registered.run_id:
            metadata["mlflow_run"] = dg.MetadataValue.url(
                stores.mlflow_link(settled.registered.run_id, settled.registered.experiment)
            )
        metadata |= {name: picture(path) for name, path in settled.pictures.items()}
        metadata |= {name: csv_table(path) for name, path in settled.tables.items()}
        if settled.accuracy:
            metadata["head_against_probe"] = comparison_table(settled.accuracy, old="probe on base", new="tuned")
        if settled.prefixes:
            metadata["matryoshka"] = table([dict(row) for row in settled.prefixes])
        metadata |= numbers({**settled.taught, **settled.reduced})
        if settled.searched:
            metadata |= search_metadata(settled.searched)
        if "gap" in settled.result:
            metadata |= numbers({"train_gap": float(str(settled.result["gap"]))})
        if settled.warning:
            context.log.warning(settled.warning)
            metadata["warning"] = dg.MetadataValue.text(settled.warning)
        metadata |= {
            "trained_now": dg.MetadataValue.bool(settled.trained_now),
            **speed(0, time.perf_counter() - started),
            "checkpoint": dg.MetadataValue.text(settled.checkpoint.digest[:12]),
            "contract": contract_table(settled.checkpoint.contract),
            "folder": dg.MetadataValue.path(str(settled.checkpoint.folder)),
        }
        return dg.MaterializeResult(data_version=dg.DataVersion(settled.checkpoint.digest), metadata=metadata)

    return encoder


def _made(space: Space) -> str:
    known = "A known training set, base and declaration reuse their checkpoint."
    if space.train is None:
        return "untrained."
    if space.train.objective == "pca":
        return f"reduced to the dims that the rows' own vectors need most (pca). {known}"
    return f"fine-tuned ({space.train.objective}, {space.train.trainable}) until validation stops improving. {known}"
