"""A collection's Dagster definitions: what follows from its declaration."""

import dagster as dg

from vector_assets.assets.candidate import build_candidate
from vector_assets.assets.chunkings import build_chunkings
from vector_assets.assets.drift import build_drift
from vector_assets.assets.embeddings import build_embeddings
from vector_assets.assets.encoder import build_encoder
from vector_assets.assets.export import build_export
from vector_assets.assets.freshness import build_freshness
from vector_assets.assets.index import build_index
from vector_assets.assets.keys import stage_keys
from vector_assets.assets.learning_curve import build_learning_curve
from vector_assets.assets.map import build_map
from vector_assets.assets.raw import build_raw
from vector_assets.assets.resources import WORKSPACE
from vector_assets.assets.schedules import build_schedules
from vector_assets.assets.scores import build_scores
from vector_assets.assets.sensors import build_automation_sensor, build_source_sensor
from vector_assets.assets.training_set import build_training_set
from vector_assets.spec import Collection
from vector_assets.spec.project import Project

# Runs execute in their own process: starting one per step costs seconds of imports each.
EXECUTOR = dg.in_process_executor


def build_definitions(collection: Collection) -> dg.Definitions:
    """Return assets, checks, sensors, schedules and jobs of one collection."""
    trained = [name for name, space in collection.spaces.items() if space.train]
    assets = [
        build_raw(collection),
        *(build_training_set(collection, space) for space in trained),
        *(build_encoder(collection, space) for space in collection.spaces),
        *(build_learning_curve(collection, one.path[-1]) for one in stage_keys(collection, "learning_curve")),
        build_embeddings(collection),
        build_candidate(collection),
        build_index(collection),
        build_map(collection),
        *([build_export(collection, collection.export)] if collection.export else []),
        *(build_chunkings(collection) for _ in stage_keys(collection, "chunkings")),
        *([build_scores(collection, collection.scores)] if collection.scores else []),
    ]
    sensors: list[dg.SensorDefinition] = [build_automation_sensor(collection)]
    if collection.automation.on_change:
        sensors.append(build_source_sensor(collection))
    checks = []
    if collection.freshness:
        check, watch = build_freshness(collection, collection.freshness)
        checks.append(check)
        sensors.append(watch)
    if collection.drift:
        checks += build_drift(collection, collection.drift)
    return dg.Definitions(
        assets=assets,
        asset_checks=checks,
        sensors=sensors,
        schedules=build_schedules(collection),
        resources={"workspace": WORKSPACE},
        executor=EXECUTOR,
    )


def build_project(project: Project) -> dg.Definitions:
    """Return the definitions of all collections of a project."""
    return dg.Definitions.merge(*(build_definitions(collection) for collection in project.collections()))
