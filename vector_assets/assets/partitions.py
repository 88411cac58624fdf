"""Dagster partitions of sources whose files are partitioned by time."""

from datetime import UTC, datetime

import dagster as dg

from vector_assets.spec import Collection, FileSource
from vector_assets.stores.raw_record import RawSync

#: On each materialization of a partitioned ``raw``: the version of all its rows.
VERSION_TAG = "vector_assets/version"


def partitions_of(collection: Collection) -> dg.TimeWindowPartitionsDefinition | None:
    """Return the partitions of ``raw``, the one under way included; None where the source has none."""
    source = collection.source
    if not isinstance(source, FileSource) or source.partition is None or source.since is None:
        return None
    start = datetime(source.since.year, source.since.month, source.since.day, tzinfo=UTC)
    if source.partition == "hour":
        return dg.HourlyPartitionsDefinition(start_date=start, end_offset=1)
    if source.partition == "month":
        return dg.MonthlyPartitionsDefinition(start_date=start.replace(day=1), end_offset=1)
    return dg.DailyPartitionsDefinition(start_date=start, end_offset=1)


def asked_partitions(context: dg.AssetExecutionContext) -> list[str] | None:
    """Return the partitions that a run is of, None for one of the whole asset."""
    if not (context.has_partition_key or context.has_partition_key_range):
        return None
    return list(context.partition_keys)


def report_partitions(
    context: dg.AssetExecutionContext, partitions: dg.TimeWindowPartitionsDefinition, sync: RawSync
) -> None:
    """Tell Dagster which partitions a run of the whole asset has changed.

    Conditions look at the partitions of a partitioned asset only: a run without one would go unseen. A run that died
    between its commit and its report is made good by the next: the rows are not those that were reported last.
    """
    keys = partitions.get_partition_keys()
    versions = dict(sync.partitions)
    latest = context.instance.get_latest_materialization_event(context.asset_key)
    reported = latest.asset_materialization if latest else None
    if not versions and reported and (reported.tags or {}).get(VERSION_TAG) != sync.version:
        versions = dict.fromkeys(keys[-1:], sync.version)
    known = set(keys)
    for name, version in versions.items():
        if name in known:
            tags = {"dagster/data_version": version, VERSION_TAG: sync.version}
            context.log_event(dg.AssetMaterialization(asset_key=context.asset_key, partition=name, tags=tags))
