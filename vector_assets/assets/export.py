"""``export/<collection>``: the live vectors as files, where a collection declares a place for them."""

import dagster as dg

from vector_assets.assets.conditions import when_inputs_change
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import numbers, speed
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.index.export import ExportPlan
from vector_assets.spec import Collection, Export
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.exporting import export_live

CODE_VERSION = "1"


def build_export(collection: Collection, export: Export) -> dg.AssetsDefinition:
    """Return the asset that writes the live generation to the declared URL when its content changed."""

    @dg.asset(
        key=key("export", collection),
        deps=[key("index", collection)],
        group_name=collection.name,
        kinds={"file", export.format if export.format == "parquet" else "numpy"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        automation_condition=when_inputs_change(),
        description=(
            "The live generation as files beside the index, with the contract of its checkpoints. The manifest is "
            "written last: without it an export does not count. vector_assets.read_export reads and verifies it."
        ),
    )
    def export_(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        store = CollectionStore(workspace.open(), collection)
        plan = ExportPlan(export.format, export.partitions, export.rows_per_file)
        done = export_live(store, collection.resolve(export.url), plan)
        head = done.manifest["head"]
        context.log.info(
            f"{done.rows} vectors in {done.files} files at {done.url}{'' if done.written else ', as before'}"
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(f"{head['generation']}-{head['content_version'] or done.manifest['digest']}"),
            metadata={
                "dagster/row_count": dg.MetadataValue.int(done.rows),
                "url": dg.MetadataValue.text(done.url),
                "written": dg.MetadataValue.bool(done.written),
                **numbers({"files": done.files, "bytes": done.bytes, "generation": int(head["generation"])}),
                **speed(done.rows if done.written else 0, done.seconds),
                "digest": dg.MetadataValue.text(str(done.manifest["digest"])[:12]),
            },
        )

    return export_
