"""What time starts: retraining, and maintenance."""

import dagster as dg

from vector_assets.assets.keys import STAGES, key, op_name, stage_keys
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import Collection

_MAINTAINED = ("embeddings", "candidate", "index", "map")
_RETRAINED = STAGES[: STAGES.index("index") + 1]


def refresh_config(collection: Collection) -> dict[str, dict[str, dict[str, dict[str, bool]]]]:
    """Return the run configuration that draws the training sets anew."""
    keys = stage_keys(collection, "training_set")
    return {"ops": {op_name(each): {"config": {"refresh": True}} for each in keys}}


def build_schedules(collection: Collection) -> list[dg.ScheduleDefinition]:
    """Return the schedules that a collection declares, with the jobs they launch."""
    return [*_retrain(collection), *_maintain(collection)]


def _retrain(collection: Collection) -> list[dg.ScheduleDefinition]:
    cron = collection.automation.retrain
    if cron is None or not stage_keys(collection, "training_set"):
        return []
    keys = [each for stage in _RETRAINED for each in stage_keys(collection, stage)]
    job = dg.define_asset_job(
        f"{collection.name}_retrain",
        selection=dg.AssetSelection.assets(*keys),
        config=refresh_config(collection),
        description="Draw the training set anew, train, build a candidate beside live, and swap if it is better.",
    )
    return [
        dg.ScheduleDefinition(
            name=f"{collection.name}_retrain_schedule",
            job=job,
            cron_schedule=cron,
            default_status=dg.DefaultScheduleStatus.RUNNING,
            description=f"Retrains the encoders of {collection.name}. What is live stays until a candidate beats it.",
        )
    ]


def _maintain(collection: Collection) -> list[dg.ScheduleDefinition]:
    cron = collection.automation.maintenance
    if cron is None:
        return []
    job = dg.define_asset_job(
        f"{collection.name}_maintenance",
        selection=dg.AssetSelection.assets(*(key(stage, collection) for stage in _MAINTAINED)),
        config={
            "ops": {
                op_name(key("embeddings", collection)): {"config": {"sweep": True}},
                op_name(key("candidate", collection)): {"config": {"maintenance": True}},
                op_name(key("index", collection)): {"config": {"maintenance": True}},
            }
        },
        description=(
            "Compare every row with its vector, remove dead tuples, measure recall and integrity again, "
            "drop what is beyond the kept generations, redraw the map."
        ),
    )

    @dg.schedule(
        name=f"{collection.name}_maintenance_schedule",
        job=job,
        cron_schedule=cron,
        # Whoever runs the daemon expects what the pages promise: it keeps what is live as it is declared, reads no
        # source anew and trains nothing.
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Daily care for {collection.name}: sweep, vacuum, recall, checks, map.",
    )
    def maintenance(workspace: WorkspaceResource) -> dg.RunRequest | dg.SkipReason:
        if workspace.open().generations.live(collection.name) is None:
            return dg.SkipReason("nothing is live yet")
        return dg.RunRequest()

    return [maintenance]
