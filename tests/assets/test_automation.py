"""Conditions without a daemon: what asks to be run, and what does not."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest

from vector_assets.assets.conditions import when_inputs_change
from vector_assets.index.integrity import CHECKS


class World:
    """The shape of a collection with versions in place of work; the conditions and checks are the real ones."""

    def __init__(self) -> None:
        self.versions = dict.fromkeys(("raw", "encoder", "embeddings", "candidate", "index"), "1")
        self.sound = True
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: object = None
        self.defs = dg.Definitions(assets=[*self._assets()])

    def _assets(self) -> Iterator[dg.AssetsDefinition]:
        def one(name: str, deps: list[str], condition: object, checks: list[dg.AssetCheckSpec]) -> dg.AssetsDefinition:
            @dg.asset(name=name, deps=deps, automation_condition=condition, check_specs=checks)  # type: ignore[arg-type]
            def asset() -> dg.MaterializeResult:  # type: ignore[type-arg]
                return dg.MaterializeResult(
                    data_version=dg.DataVersion(self.versions[name]),
                    check_results=[dg.AssetCheckResult(check_name=c.name, passed=self.sound) for c in checks],
                )

            return asset

        yield one("raw", [], None, [])
        yield one("encoder", [], None, [])
        yield one("embeddings", ["raw", "encoder"], when_inputs_change(), [])
        checks = [dg.AssetCheckSpec(name, asset="candidate", blocking=True) for name in CHECKS]
        yield one("candidate", ["embeddings"], when_inputs_change(), checks)
        yield one("index", ["candidate"], when_inputs_change(), [])

    def run(self, *names: str, changed: str = "") -> bool:
        for name in names:
            self.versions[name] += changed
        job = self.defs.get_repository_def().get_implicit_global_asset_job_def()
        keys = [dg.AssetKey(name) for name in names]
        return job.execute_in_process(instance=self.instance, asset_selection=keys, raise_on_error=False).success

    def asked(self) -> set[str]:
        """What one tick of the sensor requests."""
        result = dg.evaluate_automation_conditions(defs=self.defs, instance=self.instance, cursor=self.cursor)  # type: ignore[arg-type]
        self.cursor = result.cursor
        return {
            key.to_user_string()
            for key in self.defs.get_repository_def().asset_graph.toposorted_asset_keys
            if result.get_num_requested(key)
        }


@pytest.fixture
def world() -> World:
    world = World()
    assert world.run("raw", "encoder", "embeddings", "candidate", "index")
    world.asked()
    assert world.asked() == set()
    return world


def test_a_changed_row_asks_for_the_whole_chain_at_once(world: World) -> None:
    world.run("raw", changed="x")
    assert world.asked() == {"embeddings", "candidate", "index"}
    world.run("embeddings", "candidate", "index", changed="x")
    assert world.asked() == set()


def test_a_new_checkpoint_asks_for_the_same(world: World) -> None:
    world.run("encoder", changed="x")
    assert world.asked() == {"embeddings", "candidate", "index"}


def test_a_rerun_that_changed_nothing_asks_for_nothing(world: World) -> None:
    world.run("raw")
    assert world.asked() == set()
    world.run("raw", "embeddings", "candidate")
    assert world.asked() == set()


def test_nothing_is_asked_for_twice(world: World) -> None:
    world.run("raw", changed="x")
    assert world.asked() == {"embeddings", "candidate", "index"}
    assert world.asked() == set(), "it was handled, whether or not the run has begun"


def test_a_failed_check_of_an_earlier_run_stops_the_index(world: World) -> None:
    world.sound = False
    assert not world.run("candidate", changed="x")
    assert world.asked() == set()
    world.sound = True
    assert world.run("candidate", changed="y")
    assert world.asked() == {"index"}


def test_a_failed_check_stops_the_index_within_its_run(world: World) -> None:
    world.sound = False
    world.versions["index"] = "after"
    assert not world.run("candidate", "index", changed="x")
    record = world.instance.get_latest_data_version_record(dg.AssetKey("index"))
    assert record
    tags = record.asset_materialization.tags  # type: ignore[union-attr]
    assert tags and "after" not in tags.values()


def test_nothing_is_asked_for_before_its_inputs_are_there() -> None:
    world = World()
    world.run("raw")
    assert world.asked() == set()
    world.run("encoder")
    assert "embeddings" in world.asked()
