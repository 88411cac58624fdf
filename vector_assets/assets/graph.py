"""The graph as text that people read and review: what depends on what, what guards it, what starts it."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph, AssetNode


def render_graph(defs: dg.Definitions) -> str:
    """Return a line per asset, its checks and its condition below it, then sensors and schedules with their targets."""
    repository = defs.get_repository_def()
    graph = repository.asset_graph
    lines = [line for key in graph.toposorted_asset_keys for line in _asset(graph.get(key), graph)]
    lines.append("")
    lines += [_sensor(sensor, repository) for sensor in sorted(repository.sensor_defs, key=lambda each: each.name)]
    for schedule in sorted(repository.schedule_defs, key=lambda each: each.name):
        keys = repository.get_job(schedule.job_name).asset_layer.selected_asset_keys
        state = schedule.default_status.value.lower()
        lines.append(f"schedule {schedule.name} at {schedule.cron_schedule}, {state}: {_listed(keys)}")
    return "\n".join(lines) + "\n"


def _asset(node: AssetNode, graph: AssetGraph) -> Iterator[str]:
    pool = f", pool {' '.join(sorted(node.pools))}" if node.pools else ""
    yield f"{node.key.to_user_string()} <- {_listed(node.parent_keys) or 'source'}"
    yield f"    group {node.group_name}, kinds {' '.join(sorted(node.kinds))}{pool}"
    checks = sorted((graph.get(key) for key in node.check_keys), key=lambda check: check.key.name)
    if checks:
        yield "    checks " + ", ".join(check.key.name + (" (blocking)" if check.blocking else "") for check in checks)
    if node.automation_condition:
        yield f"    runs when {node.automation_condition.get_label() or node.automation_condition}"


def _sensor(sensor: dg.SensorDefinition, repository: dg.RepositoryDefinition) -> str:
    graph = repository.asset_graph
    state = sensor.default_status.value.lower()
    if isinstance(sensor, dg.AutomationConditionSensorDefinition):
        keys = {key for key in sensor.asset_selection.resolve(graph) if graph.get(key).automation_condition}
        return f"sensor {sensor.name}, {state}: {_listed(keys)} by their conditions"
    if not sensor.targets:
        return f"sensor {sensor.name} every {sensor.minimum_interval_seconds} s, {state}: reports a check, runs nothing"
    keys = {key for key in repository.get_job(str(sensor.job_name)).asset_layer.selected_asset_keys}
    return f"sensor {sensor.name} every {sensor.minimum_interval_seconds} s, {state}: {_listed(keys)}"


def _listed(keys: AbstractSet[dg.AssetKey]) -> str:
    return ", ".join(sorted(key.to_user_string() for key in keys))
