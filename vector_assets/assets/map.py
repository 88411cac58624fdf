"""``map/<collection>``: the live generation as a picture."""

import time

import dagster as dg

from vector_assets.assets.conditions import when_another_goes_live
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import numbers, speed
from vector_assets.assets.pictures import picture
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.mapping import draw_live_map

CODE_VERSION = "1"


def build_map(collection: Collection) -> dg.AssetsDefinition:
    """Return the asset that draws the live generation when another goes live; rows that change wait for maintenance."""

    @dg.asset(
        key=key("map", collection),
        deps=[key("index", collection)],
        group_name=collection.name,
        kinds={"umap", "matplotlib"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        automation_condition=when_another_goes_live(),
        description="UMAP of the live vectors, coloured by the first category field; near points are alike.",
    )
    def map_(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        started = time.perf_counter()
        stores = workspace.open()
        store = CollectionStore(stores, collection)
        drawn = draw_live_map(store)
        context.log.info(
            f"{drawn.points} points of generation {drawn.generation}{'' if drawn.now else ', drawn before'}"
        )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(drawn.version),
            metadata={
                "map": picture(drawn.path),
                **numbers({"generation": drawn.generation, "points": drawn.points}),
                **speed(0, time.perf_counter() - started),
                "coloured_by": dg.MetadataValue.text(drawn.coloured_by or "nothing"),
            },
        )

    return map_
