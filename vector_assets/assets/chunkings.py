"""``chunkings/<collection>``: ways of cutting its texts, measured on its own questions."""

import time

import dagster as dg

from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import dagster_tags, numbers, speed, table
from vector_assets.assets.progress import StageProgress
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import Collection
from vector_assets.stores.chunkings import CODE_VERSION, settle_chunkings
from vector_assets.stores.collection import CollectionStore


def build_chunkings(collection: Collection) -> dg.AssetsDefinition:
    """Return the asset. No condition and no schedule runs it: it encodes the rows once for each chunking."""

    @dg.asset(
        key=key("chunkings", collection),
        deps=[key("index", collection)],
        group_name=collection.name,
        kinds={"pytorch", "mlflow"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        pool="encoder",
        description=(
            "How well the judged questions find their rows under each declared way of cutting the texts, paired with "
            "the one that serves. Run by hand; what was measured of the same rows, questions and encoder is not "
            "measured again. The best is told, not taken."
        ),
    )
    def chunkings(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        started = time.perf_counter()
        stores = workspace.open()
        store = CollectionStore(stores, collection)
        found = settle_chunkings(store, tags=dagster_tags(context), progress=StageProgress(context))
        cut = [f"{way.name} ({way.truncated:,} of {way.chunks:,})" for way in found.ways if way.truncated]
        if cut:
            context.log.warning(f"chunks longer than the encoder reads, which are cut off there: {', '.join(cut)}")
        looked = f"{found.rows:,} of {found.of:,} rows" if found.rows < found.of else f"all {found.rows:,} rows"
        return dg.MaterializeResult(
            data_version=dg.DataVersion(found.key),
            metadata={
                "chunkings": table(found.lines()),
                "said": dg.MetadataValue.text(found.said),
                "rows": dg.MetadataValue.text(looked + (", judged ones among them" if found.rows < found.of else "")),
                **numbers({"queries": found.queries, "best": max(way.scores[found.metric] for way in found.ways)}),
                **speed(0, time.perf_counter() - started),
                "metric": dg.MetadataValue.text(found.metric),
                "measured_now": dg.MetadataValue.bool(found.measured_now),
                "mlflow_run": dg.MetadataValue.url(stores.mlflow_link(found.run_id, found.experiment)),
            },
        )

    return chunkings
