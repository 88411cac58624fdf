"""Conditions without a daemon: what asks to be run, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import dagster as dg
import pytest

from vector_assets.assets.conditions import when_another_goes_live, when_inputs_change
from vector_assets.index.integrity import CHECKS


class World:
    """The shape of a collection with versions in place of work; the conditions and checks are the real ones."""

    def __init__(self) -> None:
        self.versions = dict.fromkeys(("raw", "encoder", "embeddings", "candidate", "index"), "1")
        self.sound = True
        self.broken: set[str] = set()
        #: What happens while an asset is made, after its inputs were noted.
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.instance = dg.DagsterInstance.ephemeral()
        self.cursor: object = None
        self.defs = dg.Definitions(assets=[*self._assets()])

    def one(
        self, name: str, deps: list[str], condition: object, checks: Sequence[dg.AssetCheckSpec] = ()
    ) -> dg.AssetsDefinition:
        @dg.asset(name=name, deps=deps, automation_condition=condition, check_specs=checks)  # type: ignore[arg-type]
        def asset() -> dg.MaterializeResult:  # type: ignore[type-arg]
            assert name not in self.broken
            version = self.versions[name]
            self.meanwhile.pop(name, lambda: None)()
            return dg.MaterializeResult(
                data_version=dg.DataVersion(version),
                check_results=[dg.AssetCheckResult(check_name=c.name, passed=self.sound) for c in checks],
            )

        return asset

    def _assets(self) -> Iterator[dg.AssetsDefinition]:
        yield self.one("raw", [], None)
        yield self.one("encoder", [], None)
        yield self.one("embeddings", ["raw", "encoder"], when_inputs_change())
        checks = [dg.AssetCheckSpec(name, asset="candidate", blocking=True) for name in CHECKS]
        yield self.one("candidate", ["embeddings"], when_inputs_change(), checks)
        yield self.one("index", ["candidate"], when_inputs_change())

    def run(self, *names: str, changed: str = "") -> bool:
        for name in names:
            self.versions[name] += changed
        job = self.defs.get_repository_def().get_implicit_global_asset_job_def()
        keys = [dg.AssetKey(name) for name in names]
        return job.execute_in_process(instance=self.instance, asset_selection=keys, raise_on_error=False).success

    def raw_changes(self) -> None:
        """Another run of ``raw`` ends just now."""
        self.versions["raw"] += "z"
        tags = {"dagster/data_version": self.versions["raw"]}
        self.instance.report_runless_asset_event(dg.AssetMaterialization("raw", tags=tags))

    def asked(self) -> set[str]:
        """What one tick of the sensor requests."""
        result = dg.evaluate_automation_conditions(defs=self.defs, instance=self.instance, cursor=self.cursor)  # type: ignore[arg-type]
        self.cursor = result.cursor
        return {
            key.to_user_string()
            for key in self.defs.get_repository_def().asset_graph.toposorted_asset_keys
            if result.get_num_requested(key)
        }

    def consumed(self) -> str:
        """The version of ``raw`` that embeddings was made of."""
        record = self.instance.get_latest_data_version_record(dg.AssetKey("embeddings"))
        assert record and record.asset_materialization and record.asset_materialization.tags
        return record.asset_materialization.tags["dagster/input_data_version/raw"]


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


CHAIN = ("embeddings", "candidate", "index")


def test_a_change_before_the_requested_run_has_begun_is_asked_for_or_read_by_it(world: World) -> None:
    world.run("raw", changed="x")
    assert world.asked() == set(CHAIN)
    world.run("raw", changed="y")
    assert world.asked() == set(CHAIN), "the run may have begun already"
    assert world.asked() == set()


@pytest.mark.parametrize("stage", CHAIN)
def test_a_change_while_the_chain_runs_is_asked_for_once(world: World, stage: str) -> None:
    """At any stage: embeddings had read its inputs already."""
    world.run("raw", changed="x")
    assert world.asked() == set(CHAIN)
    ticks: list[set[str]] = []

    def change() -> None:
        world.raw_changes()
        ticks.append(world.asked())
        ticks.append(world.asked())

    world.meanwhile[stage] = change
    world.run(*CHAIN, changed="x")
    done = CHAIN[: CHAIN.index(stage)]
    assert ticks == [set(done), set()], "what has ended is asked for at once, so that live stays fresh"
    if done:
        world.run(*done, changed="x")
    rest = CHAIN[len(done) :]
    assert world.asked() == set(rest)
    world.run(*rest, changed="x")
    assert world.consumed() == world.versions["raw"]
    assert world.asked() == set()


def test_a_change_in_the_tick_in_which_the_run_ends_is_asked_for(world: World) -> None:
    world.run("raw", changed="x")
    assert world.asked() == set(CHAIN)
    world.run(*CHAIN, changed="x")
    world.run("raw", changed="y")
    assert world.asked() == set(CHAIN)
    world.run(*CHAIN)
    assert world.asked() == set()


def test_what_was_read_already_by_a_run_by_hand_is_not_asked_for(world: World) -> None:
    world.run("raw", *CHAIN, changed="x")
    assert world.asked() == set()
    world.run("raw")
    world.run("embeddings")
    assert world.asked() == set()


def test_a_source_that_comes_back_to_what_it_was_is_asked_for_each_time(world: World) -> None:
    for version in ("a", "b", "a", "b"):
        world.versions["raw"] = version
        world.run("raw")
        assert world.asked() == set(CHAIN)
        world.run(*CHAIN, changed=version)
        assert world.asked() == set()


def test_a_run_that_fails_is_not_asked_for_until_its_inputs_change(world: World) -> None:
    world.broken = {"embeddings"}
    world.run("raw", changed="x")
    assert world.asked() == set(CHAIN)
    assert not world.run(*CHAIN)
    assert world.asked() == world.asked() == set()
    world.broken = set()
    world.run("raw", changed="y")
    assert world.asked() == set(CHAIN)


def test_a_later_stage_that_fails_in_a_chain_is_tried_once_more_alone(world: World) -> None:
    world.broken = {"candidate"}
    world.run("raw", changed="x")
    assert world.asked() == set(CHAIN)
    assert not world.run(*CHAIN, changed="x")
    assert world.asked() == {"candidate", "index"}
    assert not world.run("candidate", "index")
    assert world.asked() == world.asked() == set()


def test_a_check_that_failed_in_a_chain_holds_the_index_until_it_passes(world: World) -> None:
    world.sound = False
    world.run("raw", changed="x")
    assert world.asked() == set(CHAIN)
    assert not world.run(*CHAIN, changed="x")
    assert world.asked() == world.asked() == set()
    world.sound = True
    assert world.run("candidate")
    assert world.asked() == {"index"}, "the content is the one that was held up"
    world.run("index", changed="x")
    assert world.asked() == set()


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


class Followed(World):
    """With what follows the index: an export, and a map."""

    def _assets(self) -> Iterator[dg.AssetsDefinition]:
        self.versions |= {"index": "1-a", "export": "1", "map": "1"}
        yield from super()._assets()
        yield self.one("export", ["index"], when_inputs_change())
        yield self.one("map", ["index"], when_another_goes_live())

    def swap(self, version: str) -> None:
        """A person makes another generation live, without a run."""
        self.versions["index"] = version
        tags = {"dagster/data_version": version}
        self.instance.report_runless_asset_event(dg.AssetMaterialization("index", tags=tags))


@pytest.fixture
def followed() -> Followed:
    world = Followed()
    assert world.run("raw", "encoder", *CHAIN, "export", "map")
    world.asked()
    assert world.asked() == set()
    return world


def test_a_swap_without_a_run_asks_once_for_what_follows(followed: Followed) -> None:
    for version in ("2-a", "1-a"):  # promoted, and taken back
        followed.swap(version)
        assert followed.asked() == {"index", "export", "map"}
        assert followed.asked() == set()
        followed.run("index", "export", "map")
        assert followed.asked() == set()


def test_the_map_is_drawn_for_a_generation_and_not_for_rows(followed: Followed) -> None:
    followed.versions["index"] = "1-b"
    followed.run("index")
    assert followed.asked() == {"export"}
    followed.run("export")
    followed.versions["index"] = "2-b"
    followed.run("index")
    assert followed.asked() == {"export", "map"}
    followed.run("export", "map")
    followed.run("index")
    assert followed.asked() == set()
