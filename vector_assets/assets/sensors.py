"""What watches: the source of each collection, and the automation conditions of its assets."""

import dagster as dg

from vector_assets.assets.keys import key
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.errors import NotFound
from vector_assets.source.open import open_source
from vector_assets.source.queue import QueueReader
from vector_assets.spec import Collection, PostgresSource, QueueSource, SqlSource

_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def build_source_sensor(collection: Collection) -> dg.SensorDefinition:
    """Return the sensor that asks for ``raw`` when the source looks different from when it was last read."""

    @dg.sensor(
        name=f"{collection.name}_source",
        target=dg.AssetSelection.assets(key("raw", collection)),
        minimum_interval_seconds=collection.automation.every,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=(
            f"Reads the source of {collection.name} again when it changed: names, sizes, times or "
            "versions of what it is "
            "made of, or for a table in place its contents. The assets below follow by their conditions."
        ),
    )
    def source_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> dg.SensorResult | dg.SkipReason:
        stores = workspace.open()
        source = collection.source
        if isinstance(source, QueueSource):
            reader = QueueReader(collection, source)
            if not reader.waiting(stores.database.url.libpq):
                return dg.SkipReason("the queue is empty")
            return _asked_unless_running(context, collection)
        if isinstance(source, SqlSource) and source.cursor is None:
            # Nothing short of reading it tells whether a query gives something else.
            return _asked_unless_running(context, collection)
        if isinstance(collection.source, PostgresSource):
            now = stores.raw.look(collection)
            known = stores.raw.version(collection.name)
        else:
            now = stores.raw.fingerprint_of(collection, open_source(collection))
            try:
                known = stores.raw.fingerprint(collection.name)
            except NotFound:
                known = None
        if now == known:
            context.update_cursor("")
            return dg.SkipReason("the source looks as it did when it was last read")
        if now == context.cursor:
            return dg.SkipReason("this change was asked for already")
        # No run key: Dagster runs each once for ever, and a source may come back to what it was.
        request = dg.RunRequest(asset_selection=[key("raw", collection)])
        return dg.SensorResult(run_requests=[request], cursor=now)

    return source_sensor


def _asked_unless_running(
    context: dg.SensorEvaluationContext, collection: Collection
) -> dg.SensorResult | dg.SkipReason:
    """Ask for ``raw`` unless what was asked for before is still on its way."""
    tags = {"dagster/sensor_name": f"{collection.name}_source"}
    under_way = dg.RunsFilter(tags=tags, statuses=_UNDER_WAY)
    if context.instance.get_run_records(under_way, limit=1):
        return dg.SkipReason("the run that was asked for before has not ended")
    return dg.SensorResult(run_requests=[dg.RunRequest(asset_selection=[key("raw", collection)])])


def build_automation_sensor(collection: Collection) -> dg.AutomationConditionSensorDefinition:
    """Return the sensor that evaluates the conditions of one collection's assets."""
    return dg.AutomationConditionSensorDefinition(
        name=f"{collection.name}_automation",
        target=dg.AssetSelection.groups(collection.name),
        use_user_code_server=True,  # the conditions are in part our own, which the daemon does not know
        default_status=(
            dg.DefaultSensorStatus.RUNNING if collection.automation.on_change else dg.DefaultSensorStatus.STOPPED
        ),
        description=f"Runs what a change in {collection.name} makes necessary: embeddings, candidate, index.",
    )
