"""Sources as Dagster sees them: days that are backfilled alone, queues and queries that are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from fakes import Declare, Execute

from vector_assets.assets import resources
from vector_assets.assets.build import build_definitions
from vector_assets.assets.keys import key
from vector_assets.assets.partitions import partitions_of
from vector_assets.assets.sensors import build_source_sensor
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace

RESOURCES = {"workspace": resources.WORKSPACE}


@dataclass
class Days:
    """A collection over a folder of days, its definitions and its instance."""

    root: Path
    collection: Collection
    instance: dg.DagsterInstance
    execute: Execute
    cursor: object = None

    def __post_init__(self) -> None:
        self.defs = build_definitions(self.collection)

    def write(self, *days: int, title: str = "cat") -> None:
        for day in days:
            folder = self.root / f"day=2026-01-{day:02}"
            folder.mkdir(exist_ok=True)
            (folder / "rows.jsonl").write_text(json.dumps({"id": f"d{day}", "title": title}) + "\n")

    def run(self, first: int | None = None, last: int | None = None) -> dict[str, object]:
        """Materialize raw, whole or a range of days in one run; return its metadata."""
        tags = {}
        if first is not None:
            tags = {
                "dagster/asset_partition_range_start": f"2026-01-{first:02}",
                "dagster/asset_partition_range_end": f"2026-01-{last or first:02}",
            }
        raw = key("raw", self.collection)
        job = self.defs.get_repository_def().get_implicit_global_asset_job_def()
        result = job.execute_in_process(instance=self.instance, asset_selection=[raw], tags=tags)
        assert result.success
        event = result.get_asset_materialization_events()[-1]
        return {k: v.value for k, v in event.step_materialization_data.materialization.metadata.items()}

    def asks(self) -> bool:
        """Whether one tick of the automation asks for the embeddings."""
        result = dg.evaluate_automation_conditions(
            defs=self.defs,
            instance=self.instance,
            cursor=self.cursor,  # type: ignore[arg-type]
        )
        self.cursor = result.cursor
        return bool(result.get_num_requested(key("embeddings", self.collection)))

    def there(self) -> None:
        """Say that the encoder is there, which nothing here needs to run."""
        self.instance.report_runless_asset_event(dg.AssetMaterialization(key("encoder", self.collection, "text")))

    def stored(self) -> dict[object, tuple[object, ...]]:
        rows = self.execute(f"select id, title, xmin::text from raw.{self.collection.name}")
        return {row[0]: row[1:] for row in rows}


@pytest.fixture
def days(
    workspace: Workspace, declare: Declare, execute: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Days]:
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)
    collection = declare(
        source={"kind": "file", "path": f"{tmp_path}/day={{date}}/*", "partition": "day", "since": "2026-01-01"},
        fields={"title": "text"},
        spaces={"text": {"fields": ["title"]}},
        automation={"on_change": True},
    )
    with dg.DagsterInstance.ephemeral() as instance:
        yield Days(tmp_path, collection, instance, execute)


def test_a_backfill_of_seven_days_is_one_run_that_touches_only_those(days: Days) -> None:
    """Row A2."""
    days.write(*range(1, 15))
    assert days.run()["inserted"] == 14
    before = days.stored()
    days.write(*range(1, 15), title="dog")
    done = days.run(3, 9)
    assert (done["updated"], done["inserted"], done["deleted"]) == (7, 0, 0)
    after = days.stored()
    assert {name for name in before if after[name] != before[name]} == {f"d{day}" for day in range(3, 10)}
    assert days.instance.get_materialized_partitions(key("raw", days.collection)) == {
        f"2026-01-{day:02}" for day in range(1, 15)
    }
    partitions = partitions_of(days.collection)
    assert partitions and partitions.get_first_partition_key() == "2026-01-01"
    raw = days.defs.get_repository_def().asset_graph.get(key("raw", days.collection))
    assert raw.backfill_policy == dg.BackfillPolicy.single_run()


def test_automation_goes_on_with_days_that_have_no_files(days: Days) -> None:
    days.write(1, 2, 5)
    days.there()
    days.asks()
    days.run()
    assert days.asks()
    assert not days.asks()
    days.run()
    assert not days.asks(), "nothing changed"
    days.write(5, title="dog")
    days.run()
    assert days.asks(), "by a run of the whole asset"
    assert not days.asks()
    days.write(2, title="owl")
    days.run(2)
    assert days.asks(), "by a backfill"
    assert not days.asks()
    days.run(2)
    assert not days.asks(), "the same content is the same version"


def test_a_run_that_died_before_its_report_is_made_good_by_the_next(days: Days, workspace: Workspace) -> None:
    from vector_assets.source.open import open_source

    days.write(1, 2)
    days.there()
    days.run()
    days.asks()
    days.write(2, title="dog")
    workspace.raw.sync(days.collection, open_source(days.collection))
    assert not days.asks()
    assert days.run()["read"] is False
    assert days.asks()
    days.run()
    assert not days.asks()


def test_the_sensor_asks_for_a_partitioned_source_once(days: Days) -> None:
    sensor = build_source_sensor(days.collection)
    days.write(1)
    repository = days.defs.get_repository_def()

    def tick(cursor: str | None = None) -> tuple[int, str | None]:
        context = dg.build_sensor_context(
            instance=days.instance, cursor=cursor, repository_def=repository, resources=RESOURCES
        )
        result = sensor.evaluate_tick(context)
        return len(result.run_requests or []), result.cursor

    asked, cursor = tick()
    assert asked == 1
    assert tick(cursor)[0] == 0
    days.run()
    assert tick()[0] == 0
    days.write(1, title="dog")
    assert tick()[0] == 1


def test_the_sensor_asks_when_the_queue_has_messages(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)
    execute(f"create table {name}_inbox (position bigint generated always as identity primary key, message jsonb)")
    collection = declare(
        source={"kind": "queue", "queue": f"{name}_inbox"},
        fields={"title": "text"},
        spaces={"text": {"fields": ["title"]}},
        automation={"on_change": True},
    )
    repository = build_definitions(collection).get_repository_def()
    sensor = build_source_sensor(collection)
    with dg.DagsterInstance.ephemeral() as instance:

        def tick() -> tuple[int, str | None]:
            result = sensor.evaluate_tick(
                dg.build_sensor_context(instance=instance, repository_def=repository, resources=RESOURCES)
            )
            return len(result.run_requests or []), result.skip_message

        assert tick() == (0, "the queue is empty")
        execute(f'insert into {name}_inbox (message) values (\'{{"op": "upsert", "id": 1, "title": "cat"}}\')')
        assert tick() == (1, None)
        job = repository.get_implicit_global_asset_job_def()
        asked = instance.create_run_for_job(job, tags={"dagster/sensor_name": f"{name}_source"})
        assert tick() == (0, "the run that was asked for before has not ended")
        instance.report_run_failed(asked)
        assert tick() == (1, None)
        assert job.execute_in_process(instance=instance, asset_selection=[key("raw", collection)]).success
        assert execute(f"select id, title from raw.{name}") == [("1", "cat")]
        assert tick() == (0, "the queue is empty")
