"""``embeddings/<collection>``: vectors made true to the rows."""

import dagster as dg

from vector_assets.assets.conditions import when_inputs_change
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import digests, numbers, speed, table
from vector_assets.assets.progress import StageProgress
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.embedding.run import run_embeddings
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore

CODE_VERSION = "1"


class EmbeddingsConfig(dg.Config):
    """What a run of the embeddings does beside following known changes."""

    sweep: bool = False
    """Compare every row with its vector, in both directions, not only rows that are known to have changed."""


def build_embeddings(collection: Collection) -> dg.AssetsDefinition:
    """Return the asset that syncs live and the generation on its way."""

    @dg.asset(
        key=key("embeddings", collection),
        deps=[key("raw", collection), *(key("encoder", collection, space) for space in collection.spaces)],
        group_name=collection.name,
        kinds={"postgres", "pytorch"},
        owners=owners(collection),
        code_version=CODE_VERSION,
        pool="encoder",
        automation_condition=when_inputs_change(),
        description=(
            "One vector per row in Postgres, stamped with its checkpoints and the digest of what was read. "
            "Only rows whose inputs changed are encoded; what left the source leaves with the same run."
        ),
    )
    def embeddings(
        context: dg.AssetExecutionContext, config: EmbeddingsConfig, workspace: WorkspaceResource
    ) -> dg.MaterializeResult:  # type: ignore[type-arg]
        stores = workspace.open()
        store = CollectionStore(stores, collection)
        run = run_embeddings(
            collection,
            store.layout(),
            store,
            store.encoders,
            run_id=context.run.run_id,
            progress=StageProgress(context),
            whole=config.sweep,
        )
        report = run.latest
        newest = run.coming or run.live
        assert newest is not None
        names = ["encoded", "reused", "unchanged", "removed", "empty", "failed", "truncated"]
        if newest.chunked is not None:
            names += ["chunks_encoded", "chunks_reused"]
            rule = newest.parts[newest.chunked].chunk
            names += ["unparsed"] if rule and rule.by == "code" else []
        counts = {name: getattr(report, name) for name in names}
        if run.refused:
            context.log.warning(f"live was not synced: {run.refused}")
        if report.truncated:
            context.log.warning(
                f"{report.truncated:,} rows were longer than the encoder reads and were cut off there: "
                + ("declare chunk:" if newest.chunked is None else "declare a smaller chunk.size")
            )
        return dg.MaterializeResult(
            data_version=dg.DataVersion(stores.embeddings.content_version(newest)),
            metadata={
                "dagster/row_count": dg.MetadataValue.int(report.rows),
                "dagster/table_name": dg.MetadataValue.text(stores.embeddings.vectors_table(newest).as_string(None)),
                **numbers({**counts, "dims": newest.dims, "generation": newest.number}),
                **speed(report.encoded, report.seconds),
                **_words(store),
                "checkpoints": digests(newest.checkpoints),
                "generations": table(
                    [
                        {
                            "generation": r.generation,
                            "encoded": r.encoded,
                            "removed": r.removed,
                            "seconds": round(r.seconds, 2),
                        }
                        for r in run.reports
                    ]
                ),
            },
        )

    return embeddings


def _words(store: CollectionStore) -> dict[str, dg.MetadataValue]:
    """What was done to the index of words."""
    done = store.words_report
    if done is None:
        return {}
    return numbers(
        {
            "bm25_rows": done.rows,
            "bm25_added": done.added,
            "bm25_removed": done.removed,
            "bm25_seconds": round(done.seconds, 2),
        }
    )
