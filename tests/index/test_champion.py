"""MLflow is told what is live, after the commit, and again until it has arrived."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from fakes import Execute, FakeStore, KeywordEncoder
from stages import materialize

from vector_assets.index.swap import promote, roll_back
from vector_assets.stores.checkpoints import Registered
from vector_assets.stores.outbox import project_live


def kill_after(work: Callable[[], object]) -> None:
    """Do the work in a process of its own, which is killed with SIGKILL as soon as the work has returned."""
    child = os.fork()
    if not child:
        try:
            work()
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def register(store: FakeStore, model: str, encoder: KeywordEncoder) -> str:
    """Make a version of a model in MLflow for an encoder's checkpoint, as the encoder stage does."""
    tracking = store.workspace.tracking
    with tracking.run(model.replace(".", "/"), "base", tags={}) as run:
        version = tracking.register(run, model, "checkpoint", tags={})
    store.workspace.checkpoints.register(encoder.digest, Registered(run.run_id, model, version, run.experiment_id))
    return version


def open_entries(execute: Execute, name: str) -> int:
    ((count,),) = execute("select count(*) from ops.outbox where collection = %s and done_at is null", (name,))
    return int(str(count))


def test_champion_is_a_projection_that_later_runs_mend(store: FakeStore, execute: Execute, name: str) -> None:
    """Between the commit and the alias the process is killed: the outbox keeps what MLflow was not told."""
    workspace = store.workspace
    tracking = workspace.tracking
    model = f"{name}.text"

    first = register(store, model, store.chosen["text"])
    materialize(store)
    assert tracking.champion(model) is None
    assert open_entries(execute, name) == 1
    assert project_live(workspace, name) == 1
    assert tracking.champion(model) == first
    assert project_live(workspace, name) == 0

    other = KeywordEncoder(seed="other")
    store.use(other)
    second = register(store, model, other)
    store.questions_asked = []
    materialize(store)
    kill_after(lambda: promote(store, store.catch_up, because="test"))
    assert tracking.champion(model) == first
    roll_back(store, workspace.generations.rollback_target(name), None, because="test")
    forward = workspace.generations.rollback_target(name)
    roll_back(store, forward, None, because="test")
    assert project_live(workspace, name) == 3, "worked off together, by what is live now"
    assert tracking.champion(model) == second
    assert open_entries(execute, name) == 0


def test_what_mlflow_did_not_take_stays_open(
    store: FakeStore, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = register(store, f"{name}.text", store.chosen["text"])
    materialize(store)
    tracking = store.workspace.tracking

    def away(model: str, version: str) -> None:
        raise ConnectionError("MLflow is away")

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "set_champion", away)
        with pytest.raises(ConnectionError):
            project_live(store.workspace, name)
    assert open_entries(execute, name) == 1

    tell = tracking.set_champion

    def swapped_meanwhile(model: str, version: str) -> None:
        tell(model, version)
        store.swap(store.live(), because="another process, while MLflow is told")

    with monkeypatch.context() as patch:
        patch.setattr(tracking, "set_champion", swapped_meanwhile)
        assert project_live(store.workspace, name) == 1
    assert open_entries(execute, name) == 1, "what came in between is told by the next"
    assert project_live(store.workspace, name) == 1
    assert tracking.champion(f"{name}.text") == version


def test_the_alias_and_the_entries_of_others_are_left_alone(store: FakeStore, execute: Execute, name: str) -> None:
    model = f"{name}_owner.text"
    register(store, model, store.chosen["text"])  # this checkpoint is borrowed
    execute("insert into ops.outbox (collection, kind, payload) values (%s, 'live', '{}')", (f"{name}_owner",))
    materialize(store)
    assert project_live(store.workspace, name) == 1
    assert store.workspace.tracking.champion(model) is None
    assert (open_entries(execute, name), open_entries(execute, f"{name}_owner")) == (0, 1)
