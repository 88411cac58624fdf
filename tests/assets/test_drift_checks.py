"""The drift checks in a real run, and the condition that asks for a new training when one has tripped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus as State
from drifting import TopicEncoder, add_rows, train_on
from fakes import Declare, Execute, FakeStore

from vector_assets.assets import drift, resources
from vector_assets.assets.build import build_definitions
from vector_assets.assets.drift import FROM_CONDITION
from vector_assets.assets.graph import render_graph
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.workspace import Workspace

TRAINED = {"text": {"fields": ["title"], "train": {"pairs": {"query": "body"}, "split": {"by": "topic"}}}}
CHAIN = {"training_set", "encoder", "embeddings", "candidate", "index"}


@dataclass
class Drifting:
    """A live, trained collection with declared drift, its definitions and a Dagster instance."""

    store: FakeStore
    instance: dg.DagsterInstance
    execute: Execute
    cursor: Any = None
    days: float = 0

    @property
    def collection(self) -> Collection:
        return self.store.collection

    def run(self, *keys: dg.AssetKey, checks: bool = True, tags: dict[str, str] | None = None) -> bool:
        """A run of assets, or of both checks alone."""
        job = build_definitions(self.collection).get_repository_def().get_implicit_global_asset_job_def()
        index = dg.AssetKey(["index", self.collection.name])
        wanted = {dg.AssetCheckKey(index, name) for name in ("corpus_drift", "query_drift")} if checks else set()
        only = job.get_subset(asset_selection=set(keys), asset_check_selection=wanted)
        return only.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False).success

    def shown(self, name: str) -> tuple[Any, dg.AssetCheckEvaluation]:
        key = dg.AssetCheckKey(dg.AssetKey(["index", self.collection.name]), name)
        record = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.evaluation
        return record.status, record.evaluation

    def report(self, *stages: str) -> None:
        """As if these assets had been materialized, one after another."""
        for stage in stages:
            for key in build_definitions(self.collection).get_repository_def().asset_graph.toposorted_asset_keys:
                if key.path[0] == stage:
                    self.instance.report_runless_asset_event(dg.AssetMaterialization(key))

    def asked(self) -> set[str]:
        """What one tick of the collection's sensor requests, by stage."""
        self.days += 0.001
        defs = build_definitions(self.collection)
        result = dg.evaluate_automation_conditions(
            defs=defs, instance=self.instance, cursor=self.cursor,
            evaluation_time=datetime.now(UTC) + timedelta(days=self.days),
        )  # fmt: skip
        self.cursor = result.cursor
        keys = defs.get_repository_def().asset_graph.toposorted_asset_keys
        return {key.path[0] for key in keys if result.get_num_requested(key)}

    def drift_away(self) -> None:
        add_rows(self.execute, self.collection.name, "music", 2000, 90)
        self.store.embed()
        self.forget()
        assert self.run()

    def forget(self) -> None:
        """As if the last measurement lay an hour back."""
        self.execute("update ops.drift set measured_at = measured_at - interval '2 hours'")


@pytest.fixture
def drifting(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Drifting]:  # fmt: skip
    animals(0)
    add_rows(execute, name, "speech", 1, 120)
    declared = declare(
        drift={"retrain": True, "sample": 300, "cooldown": "2d"}, automation={"on_change": True}, spaces=TRAINED
    )
    store = FakeStore(workspace, declared, TopicEncoder())
    store.embed()
    store.swap(store.all()[0], because="a test")
    train_on(store, [f"speech of old {i}" for i in range(150)], queries=lambda i: f"speech {i}?")
    execute("update ops.training_draws set drawn_at = now() - interval '9 days' where collection = %s", (name,))
    monkeypatch.setattr(resources, "_workspace", lambda: workspace)

    def fake(workspace: Workspace, collection: Collection) -> CollectionStore:
        return store

    monkeypatch.setattr(drift, "CollectionStore", fake)
    with dg.DagsterInstance.ephemeral() as instance:
        found = Drifting(store, instance, execute)
        found.report("raw", "training_set", "encoder", "embeddings", "candidate", "index", "map")
        yield found


def test_the_checks_warn_with_numbers_and_a_picture_and_fail_no_run(drifting: Drifting) -> None:
    assert drifting.run()
    state, said = drifting.shown("corpus_drift")
    assert state == State.SUCCEEDED and said.description
    assert "have not drifted" in said.description
    drifting.drift_away()
    state, said = drifting.shown("corpus_drift")
    assert state == State.FAILED and said.severity == dg.AssetCheckSeverity.WARN and not said.blocking
    values = {name: value.value for name, value in said.metadata.items()}
    assert values["auc"] > values["low"] > values["bound"] == 0.75
    assert (values["reference"], values["current"], values["measured_now"]) == (150, 90, True)
    assert values["seconds"] > 0 and values["p"] < 0.01
    assert values["scores"].startswith("![") and "data:image/png;base64," in values["scores"]
    assert drifting.run()
    assert not drifting.shown("corpus_drift")[1].metadata["measured_now"].value
    state, said = drifting.shown("query_drift")
    assert state == State.SUCCEEDED and "too few to say" in str(said.description)


def test_a_tripped_check_asks_for_the_whole_chain_once_per_cooldown(drifting: Drifting) -> None:
    drifting.run()
    drifting.asked()
    assert drifting.asked() == set()
    drifting.drift_away()
    assert drifting.asked() == CHAIN
    assert drifting.asked() == drifting.asked() == set(), "not at each tick"
    drifting.days += 1.5
    assert drifting.asked() == set(), "the run that was asked for may have failed, but the cooldown holds"
    drifting.days += 1
    assert drifting.asked() == CHAIN


def test_a_training_set_drawn_after_it_ends_it(drifting: Drifting) -> None:
    drifting.run()
    drifting.drift_away()
    assert drifting.asked() - {"map"} == CHAIN  # the map was never drawn
    drifting.execute(
        "update ops.training_draws set drawn_at = now() where collection = %s", (drifting.collection.name,)
    )
    drifting.days += 5
    assert drifting.asked() == set()


def test_a_run_by_condition_draws_anew_and_others_do_not(drifting: Drifting) -> None:
    name = drifting.collection.name
    drifting.execute(f"update {name} set body = 'where is the one about ' || id, topic = 'g' || id % 10")

    def draws(tags: dict[str, str]) -> bool:
        assert drifting.run(dg.AssetKey(["training_set", name, "text"]), checks=False, tags=tags)
        event = drifting.instance.get_latest_materialization_event(dg.AssetKey(["training_set", name, "text"]))
        assert event and event.asset_materialization
        return bool(event.asset_materialization.metadata["drawn"].value)

    assert draws({}), "there was none of this declaration"
    assert not draws({})
    assert draws({FROM_CONDITION: "true"})
    assert not draws({})


def test_without_retrain_nothing_is_asked_for(drifting: Drifting, declare: Declare) -> None:
    drifting.store.collection = declare(drift={"sample": 300}, automation={"on_change": True}, spaces=TRAINED)
    drifting.run()
    drifting.asked()
    drifting.drift_away()
    assert drifting.shown("corpus_drift")[0] == State.FAILED
    assert drifting.asked() == set()


def test_checks_and_conditions_are_in_the_graph_only_where_declared(drifting: Drifting, declare: Declare) -> None:
    defs = build_definitions(drifting.collection)
    dg.Definitions.validate_loadable(defs)
    text = render_graph(defs)
    assert "    checks corpus_drift, query_drift\n" in text
    assert "    runs when rows or questions drifted since it was drawn\n" in text
    assert "    runs when its training set is drawn anew because of drift\n" in text
    assert "drift" not in render_graph(build_definitions(declare(spaces=TRAINED)))
