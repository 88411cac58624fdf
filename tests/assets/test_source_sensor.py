"""The sensor of a source: asks for raw when what would be read is another, once, and for nothing else."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from fakes import Declare, Execute
from materialized import project_runs
from project import write_project, write_rows

from vector_assets.assets import resources
from vector_assets.assets.build import build_definitions
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace


def sensor_tick(
    collection: Collection, instance: dg.DagsterInstance, cursor: str | None
) -> dg.SensorResult | dg.SkipReason:
    repository = build_definitions(collection).get_repository_def()
    sensor = repository.get_sensor_def(f"{collection.name}_source")
    context = dg.build_sensor_context(
        instance=instance, cursor=cursor, repository_def=repository,
        resources={"workspace": resources.WorkspaceResource()}, sensor_name=sensor.name,
    )  # fmt: skip
    result = sensor(context)
    assert isinstance(result, dg.SensorResult | dg.SkipReason)
    return result


def test_the_source_sensor_asks_once_for_raw_and_only_for_raw(workspace: Workspace, tmp_path: Path) -> None:
    folder = write_project(tmp_path, "sensed", tmp_path / "model")
    with project_runs(workspace, folder, "raw") as papers:
        assert isinstance(sensor_tick(papers.collection, papers.instance, None), dg.SkipReason)
        write_rows(folder / "rows.jsonl", changed={3: "b9 news and more"})
        asked = sensor_tick(papers.collection, papers.instance, None)
        assert isinstance(asked, dg.SensorResult) and asked.run_requests
        (request,) = asked.run_requests
        assert request.asset_selection == [dg.AssetKey(["raw", "sensed"])]
        assert isinstance(sensor_tick(papers.collection, papers.instance, asked.cursor), dg.SkipReason)
        papers.run("raw")
        assert isinstance(sensor_tick(papers.collection, papers.instance, asked.cursor), dg.SkipReason)


def test_a_source_that_goes_back_and_forth_is_asked_for_each_time(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster runs a run key once for ever; a table whose content comes back would stay unread."""
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(f"insert into {name} values (1, 'cat', '', '', 0)")
    collection = declare(automation={"on_change": True})
    workspace.raw.observe(collection)
    cursor, keys = None, []
    with dg.DagsterInstance.ephemeral() as instance:
        for title in ("dog", "cat", "dog", "cat"):
            execute(f"update {name} set title = '{title}'")
            asked = sensor_tick(collection, instance, cursor)
            assert isinstance(asked, dg.SensorResult) and asked.run_requests, title
            assert isinstance(sensor_tick(collection, instance, asked.cursor), dg.SkipReason)
            cursor = asked.cursor
            keys += [request.run_key for request in asked.run_requests]
            workspace.raw.observe(collection)
            assert isinstance(sensor_tick(collection, instance, asked.cursor), dg.SkipReason)
    assert keys == [None] * 4
