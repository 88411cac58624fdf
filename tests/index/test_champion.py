"""MLflow is told what is live, after the commit, and again until it has arrived."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

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


def test_champion_is_a_projection_that_later_runs_mend(store: FakeStore, execute: Execute, name: str) -> None:
    """Between the commit and the alias the process is killed: the outbox keeps what MLflow was not told."""
    workspace = store.workspace
    tracking = workspace.tracking
    model = f"{name}.text"

    def register(encoder: KeywordEncoder) -> str:
        with tracking.run(f"{name}/text", "base", tags={}) as run:
            version = tracking.register(run, model, "checkpoint", tags={})
        workspace.checkpoints.register(encoder.digest, Registered(run.run_id, model, version, run.experiment_id))
        return version

    first = register(store.chosen["text"])
    materialize(store)
    assert tracking.champion(model) is None
    assert execute("select count(*) from ops.outbox where collection = %s and done_at is null", (name,)) == [(1,)]
    assert project_live(workspace, name) == 1
    assert tracking.champion(model) == first
    assert project_live(workspace, name) == 0

    other = KeywordEncoder(seed="other")
    store.use(other)
    second = register(other)
    store.questions_asked = []
    materialize(store)
    kill_after(lambda: promote(store, store.catch_up, because="test"))
    assert tracking.champion(model) == first
    roll_back(store, workspace.generations.rollback_target(name), None, because="test")
    forward = workspace.generations.rollback_target(name)
    roll_back(store, forward, None, because="test")
    assert project_live(workspace, name) == 3, "worked off together, by what is live now"
    assert tracking.champion(model) == second
    assert execute("select count(*) from ops.outbox where collection = %s and done_at is null", (name,)) == [(0,)]
