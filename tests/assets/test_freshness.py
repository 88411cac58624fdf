"""The freshness check turns red while a row waits too long, and green again; by run, by button, and between runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as State
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.assets import resources
from vector_assets.assets.build import build_definitions
from vector_assets.assets.graph import render_graph
from vector_assets.errors import SpecError
from vector_assets.spec.freshness import as_timedelta
from vector_assets.spec.load import load_text
from vector_assets.stores.freshness import oldest_pending
from vector_assets.stores.status import collection_status
from vector_assets.stores.workspace import Workspace


@dataclass
class Watched:
    """A live collection with a declared freshness, its definitions and a Dagster instance."""

    store: FakeStore
    instance: dg.DagsterInstance
    execute: Execute
    cursor: str | None = None

    @property
    def name(self) -> str:
        return self.store.collection.name

    @property
    def key(self) -> dg.AssetCheckKey:
        return dg.AssetCheckKey(dg.AssetKey(["embeddings", self.name]), "freshness")

    def edit(self, row: int) -> None:
        self.execute(f"update {self.name} set title = title || '!' where id = {row}")

    def pass_time(self, minutes: int) -> None:
        """As if the last clean moment lay so much longer ago."""
        self.execute(
            "update ops.syncs set true_at = true_at - make_interval(mins => %s) where collection = %s",
            (minutes, self.name),
        )

    def tick(self) -> dg.AssetCheckEvaluation | None:
        """One look of the sensor, and what the daemon does with its answer."""
        repository = build_definitions(self.store.collection).get_repository_def()
        sensor = repository.get_sensor_def(f"{self.name}_freshness")
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, repository_def=repository, sensor_name=sensor.name,
            resources={"workspace": resources.WorkspaceResource()},
        )  # fmt: skip
        result = sensor(context)
        if isinstance(result, dg.SkipReason):
            return None
        assert isinstance(result, dg.SensorResult) and not result.run_requests
        self.cursor = result.cursor
        (event,) = result.asset_events
        assert isinstance(event, dg.AssetCheckEvaluation)
        self.instance.report_runless_asset_event(event)
        return event

    def run(self) -> bool:
        """The button of the check."""
        job = build_definitions(self.store.collection).get_repository_def().get_implicit_global_asset_job_def()
        only = job.get_subset(asset_selection=set(), asset_check_selection={self.key})
        return only.execute_in_process(instance=self.instance).success

    def shown(self) -> tuple[Any, dict[str, Any]]:
        """State and metadata as the page shows them."""
        record = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([self.key])[self.key]
        assert record.evaluation
        return record.status, {name: value.value for name, value in record.evaluation.metadata.items()}


@pytest.fixture
def watched(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Watched]:  # fmt: skip
    animals(20)
    store = FakeStore(workspace, declare(freshness="15m"), KeywordEncoder())
    store.embed()
    store.swap(store.all()[0], because="a test")
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Watched(store, instance, execute)


def test_the_sensor_turns_the_check_red_and_green_without_a_run(watched: Watched) -> None:
    assert watched.tick()
    assert watched.shown()[0] == State.SUCCEEDED
    watched.edit(7)
    watched.edit(8)
    assert watched.tick() is None, "two rows wait, but not for long: the same news is not told again"
    watched.pass_time(14)
    assert watched.tick() is None
    watched.pass_time(2)
    event = watched.tick()
    assert event and not event.passed
    state, said = watched.shown()
    assert state == State.FAILED
    assert (said["pending"], said["failed"], said["stale"], said["allowed_s"]) == (2, 0, 2, 900)
    assert 960 <= said["oldest_pending_s"] < 1000
    assert event.severity == dg.AssetCheckSeverity.ERROR
    assert event.description and event.description.startswith("2 rows wait, the oldest for at most 96")
    assert watched.tick() is None
    watched.store.embed()
    assert watched.tick()
    assert watched.shown() == (State.SUCCEEDED, said | {"oldest_pending_s": 0, "pending": 0, "stale": 0})
    assert watched.instance.get_runs() == []


def test_the_check_run_by_hand_says_the_same_and_does_not_fail_the_run(watched: Watched) -> None:
    watched.edit(7)
    assert watched.run()
    assert watched.shown()[0] == State.SUCCEEDED
    watched.pass_time(16)
    assert watched.run(), "it tells, it does not block"
    assert watched.shown()[0] == State.FAILED
    watched.store.embed()
    assert watched.run()
    assert watched.shown()[0] == State.SUCCEEDED


def test_a_quiet_collection_is_not_red_when_a_row_changes_at_last(watched: Watched, workspace: Workspace) -> None:
    """Nothing was synced for days, because nothing changed: looks that found nothing count as well."""
    watched.pass_time(3 * 24 * 60)
    assert watched.tick()
    watched.edit(7)
    oldest = oldest_pending(workspace, watched.store.collection)
    assert oldest is not None and oldest < 60


def test_a_sync_that_did_not_end_is_no_sync(watched: Watched, workspace: Workspace) -> None:
    watched.pass_time(16)
    watched.edit(7)

    def die(texts: object) -> None:
        raise KeyboardInterrupt

    watched.store.chosen["text"].during = die
    with pytest.raises(KeyboardInterrupt):
        watched.store.embed()
    oldest = oldest_pending(workspace, watched.store.collection)
    assert oldest is not None and oldest >= 960


def test_what_changed_while_a_sync_ran_waits_since_the_sync_began(watched: Watched, workspace: Workspace) -> None:
    watched.edit(7)

    def edit(texts: object) -> None:
        watched.store.chosen["text"].during = None
        watched.edit(8)
        watched.execute("select pg_sleep(0.2)")

    watched.store.chosen["text"].during = edit
    watched.store.embed()
    status = collection_status(workspace, watched.store.collection)
    assert status.pending == 1
    assert status.oldest_pending_s is not None and status.oldest_pending_s >= 0.2
    watched.store.embed()
    assert collection_status(workspace, watched.store.collection).oldest_pending_s is None


def test_a_failed_row_does_not_wait_until_it_is_to_be_retried(watched: Watched, workspace: Workspace) -> None:
    watched.execute(f"update {watched.name} set title = 'poison' where id = 7")
    watched.store.embed()
    assert oldest_pending(workspace, watched.store.collection) is None
    watched.tick()
    assert watched.shown()[1]["failed"] == 1


def test_before_anything_is_embedded_nothing_is_promised(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None]
) -> None:
    collection = declare(freshness="15m")
    assert oldest_pending(workspace, collection) is None
    animals(3)
    store = FakeStore(workspace, collection, KeywordEncoder())
    store.create(store.layout(), run_id=None)
    waits = oldest_pending(workspace, collection)
    assert waits is not None and waits < 60, "since the generation was made"


def test_the_check_and_its_sensor_are_in_the_graph(watched: Watched, declare: Declare) -> None:
    defs = build_definitions(watched.store.collection)
    dg.Definitions.validate_loadable(defs)
    text = render_graph(defs)
    assert "    checks freshness\n" in text
    assert f"sensor {watched.name}_freshness every 180 s, running: reports a check, runs nothing" in text
    assert "freshness" not in render_graph(build_definitions(declare()))


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86400)])
def test_durations(text: str, seconds: int) -> None:
    assert as_timedelta(text).total_seconds() == seconds


@pytest.mark.parametrize("wrong", ["15", "0m", "1.5h", "15 m", "-1h", "1w"])
def test_a_wrong_duration_is_refused_with_its_line(wrong: str, tmp_path: Any) -> None:
    declared = (
        "type: vector_assets.CollectionComponent\nattributes:\n  name: papers\n"
        "  source: {kind: postgres, table: papers}\n  fields: {title: text}\n"
        f"  spaces: {{text: {{fields: [title]}}}}\n  freshness: '{wrong}'\n"
    )
    with pytest.raises(SpecError, match=r":7: freshness: found '.*'; expected to be a whole number with its unit"):
        load_text(declared, "defs.yaml", tmp_path)
