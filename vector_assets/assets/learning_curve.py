"""``learning_curve/<collection>/<space>``: how results grow with rows, where a space declares it."""

import time

import dagster as dg

from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import Metadata, dagster_tags, numbers, speed, table
from vector_assets.assets.pictures import picture
from vector_assets.assets.progress import StageProgress
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import Collection
from vector_assets.stores.learning_curves import settle_curve
from vector_assets.training.curve import CODE_VERSION
from vector_assets.training.history import Progress


def build_learning_curve(collection: Collection, space: str) -> dg.AssetsDefinition:
    """Return the asset of one space. No condition and no schedule runs it: many trainings are asked for by hand."""

    @dg.asset(
        key=key("learning_curve", collection, space),
        deps=[key("training_set", collection, space)],
        group_name=collection.name,
        kinds={"pytorch", "mlflow", "matplotlib"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        pool="encoder",
        description=(
            f"How well the encoder of space {space} does with growing parts of its training set, and how far it comes "
            "from scratch; says from how many rows on there is enough. Run by hand; a known curve is not measured "
            "again, and its trainings leave no checkpoints."
        ),
    )
    def learning_curve(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        started = time.perf_counter()
        shown = StageProgress(context)

        def progress(now: Progress) -> None:
            shown(now.step, now.steps, now.words)

        stores = workspace.open()
        settled = settle_curve(stores, collection, space, tags=dagster_tags(context), progress=progress)
        found = settled.found
        metadata: Metadata = {"curve": table(found.means)}
        if settled.picture:
            metadata["learning_curve"] = picture(settled.picture)
        if settled.warnings:
            for warning in settled.warnings:
                context.log.warning(warning)
            metadata["warning"] = dg.MetadataValue.text("\n".join(settled.warnings))
        metadata |= {
            **numbers({"points": len(found.points), "train_rows": found.train}),
            **speed(0, time.perf_counter() - started),
            "metric": dg.MetadataValue.text(found.metric),
            "measured_now": dg.MetadataValue.bool(settled.measured_now),
            "mlflow_run": dg.MetadataValue.url(stores.mlflow_link(settled.run_id, settled.experiment)),
        }
        return dg.MaterializeResult(data_version=dg.DataVersion(settled.key), metadata=metadata)

    return learning_curve
