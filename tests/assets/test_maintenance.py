"""The daily maintenance: it runs unless it is declared away, and not before there is something to care for."""

from __future__ import annotations

from collections.abc import Callable

import dagster as dg
import pytest
from fakes import Declare, FakeStore, KeywordEncoder

from vector_assets.assets import resources
from vector_assets.assets.build import build_definitions
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace


def schedule_of(collection: Collection) -> tuple[dg.RepositoryDefinition, dg.ScheduleDefinition]:
    repository = build_definitions(collection).get_repository_def()
    (schedule,) = repository.schedule_defs
    return repository, schedule


def test_it_runs_daily_unless_declared_otherwise(declare: Declare) -> None:
    _, schedule = schedule_of(declare())
    assert (schedule.cron_schedule, schedule.default_status) == ("0 4 * * *", dg.DefaultScheduleStatus.RUNNING)
    _, weekly = schedule_of(declare(automation={"maintenance": "0 4 * * 0"}))
    assert weekly.cron_schedule == "0 4 * * 0"
    assert build_definitions(declare(automation={"maintenance": None})).get_repository_def().schedule_defs == []


def test_it_waits_until_something_is_live(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)
    collection = declare()
    animals(8)
    repository, schedule = schedule_of(collection)

    def tick() -> object:
        with dg.DagsterInstance.ephemeral() as instance:
            given = {"workspace": resources.WORKSPACE}
            context = dg.build_schedule_context(instance=instance, repository_def=repository, resources=given)
            return schedule.evaluate_tick(context)

    before = tick()
    assert (before.run_requests, before.skip_message) == ([], "nothing is live yet")  # type: ignore[attr-defined]
    store = FakeStore(workspace, collection, KeywordEncoder())
    store.embed()
    store.swap(store.all()[0], because="a test")
    (request,) = tick().run_requests  # type: ignore[attr-defined]
    assert request.run_config in ({}, repository.get_job(f"{name}_maintenance").run_config)
