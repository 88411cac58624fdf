"""``index/<collection>``: what people search."""

import dagster as dg

from vector_assets.assets.conditions import GENERATION_END, when_inputs_change
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import Metadata, dagster_tags, digests, numbers, table
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.index.swap import Swapped, settle
from vector_assets.spec import Collection
from vector_assets.stores.calibrations import calibrate_live
from vector_assets.stores.candidate_runs import log_generation
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.outbox import project_live
from vector_assets.stores.workspace import Workspace

CODE_VERSION = "1"


class IndexConfig(dg.Config):
    """What a run of the index does beside swapping."""

    maintenance: bool = False
    """Drop what is beyond the kept generations, even when nothing goes live."""


def build_index(collection: Collection) -> dg.AssetsDefinition:
    """Return the asset that swaps the candidate in when the gate said promote, and else keeps live."""

    @dg.asset(
        key=key("index", collection),
        deps=[key("candidate", collection)],
        group_name=collection.name,
        kinds={"postgres"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        automation_condition=when_inputs_change(),
        description=(
            "The live generation: views, search function and contract, swapped whole in one transaction. "
            "The generations before it stay for vector-assets rollback."
        ),
    )
    def index(
        context: dg.AssetExecutionContext, config: IndexConfig, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        stores = workspace.open()
        store = CollectionStore(stores, collection)
        swapped = settle(store, store.catch_up, clean=config.maintenance)
        project_live(stores, collection.name)
        if calibrate_live(store, swapped.live, context.log.info, anew=config.maintenance):
            log_generation(store, swapped.live, tags=dagster_tags(context))
        context.log.info(f"generation {swapped.live.number} is live ({swapped.action})")
        if swapped.dropped:
            context.log.info(f"dropped, as no longer kept: generations {', '.join(map(str, swapped.dropped))}")
        generations = [
            {
                "generation": g.number,
                "state": g.state,
                "decision": g.decision or "",
                "dims": g.dims,
                "ef_search": g.ef_search or 0,
            }
            for g in store.all()
        ]
        return dg.MaterializeResult(
            data_version=dg.DataVersion(live_version(stores, swapped)),
            metadata={**swap_metadata(swapped), "generations": table(generations)},
        )

    return index


def live_version(workspace: Workspace, swapped: Swapped) -> str:
    """Return the data version of the index: the live generation, and what it holds."""
    return f"{swapped.live.number}{GENERATION_END}{workspace.embeddings.content_version(swapped.live)}"


def swap_metadata(swapped: Swapped) -> Metadata:
    """Return what is told of a swap, whoever made it."""
    return {
        **numbers({"generation": swapped.live.number, "ef_search": swapped.live.ef_search or 0}),
        "action": dg.MetadataValue.text(swapped.action),
        "checkpoints": digests(swapped.live.checkpoints),
    }
