"""``raw/<collection>``: the rows of the source."""

import hashlib

import dagster as dg

from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import numbers, speed, table_metadata
from vector_assets.assets.partitions import VERSION_TAG, asked_partitions, partitions_of, report_partitions
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.source.open import open_source
from vector_assets.spec import Collection, PostgresSource
from vector_assets.stores.raw_record import RawSync

CODE_VERSION = "1"


def build_raw(collection: Collection) -> dg.AssetsDefinition:
    """Return the asset that makes ``raw`` equal to the source, or that looks at a table used in place."""
    in_place = isinstance(collection.source, PostgresSource)
    partitions = partitions_of(collection)

    @dg.asset(
        key=key("raw", collection),
        group_name=collection.name,
        kinds={"postgres", "table" if in_place else collection.source.kind},
        owners=owners(collection),
        code_version=CODE_VERSION,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run() if partitions else None,
        description=(
            f"Rows of {collection.name}, "
            + (
                "in the user's own table: counted and digested, never copied or changed. "
                if in_place
                else "copied from the source; only rows that differ are written. "
            )
            + collection.description
        ).strip(),
    )
    def raw(context: dg.AssetExecutionContext, workspace: WorkspaceResource) -> dg.MaterializeResult:  # type: ignore[type-arg]
        stores = workspace.open()
        asked = asked_partitions(context) if partitions else None
        sync = (
            stores.raw.observe(collection)
            if in_place
            else stores.raw.sync(collection, open_source(collection), partitions=asked, run_id=context.run.run_id)
        )
        if partitions and asked is None:
            report_partitions(context, partitions, sync)
        if sync.unreadable:
            for failure in stores.failures.list(collection.name, limit=10):
                context.log.warning(f"set aside {failure.row_key}: {failure.error}")
        counts = {name: getattr(sync, name) for name in ("inserted", "updated", "deleted", "unreadable")}
        return dg.MaterializeResult(
            data_version=dg.DataVersion(_version(sync, asked)),
            tags={VERSION_TAG: sync.version} if partitions else None,
            metadata={
                **table_metadata(
                    collection, rows=sync.rows, table=stores.raw.relation(collection).table.as_string(None)
                ),
                **speed(sync.rows if sync.read else 0, sync.seconds),
                **numbers(counts if not in_place else {"unreadable": sync.unreadable}),
                "in_place": dg.MetadataValue.bool(in_place),
                "read": dg.MetadataValue.bool(sync.read),
                "capture": dg.MetadataValue.text(sync.capture),
            },
        )

    return raw


def _version(sync: RawSync, asked: list[str] | None) -> str:
    """Return the version of what a run is of: the rows, or those of the partitions that were asked for."""
    if asked is None:
        return sync.version
    versions = [sync.partitions.get(name, "0") for name in asked]
    return versions[0] if len(versions) == 1 else hashlib.sha256(" ".join(versions).encode()).hexdigest()
