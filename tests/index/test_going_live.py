"""Going live by the gate or by a person, what blocks it, and the way back."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import WRONG, begin, materialize, measure, search, states

from vector_assets.errors import CoverageError, IntegrityError, NotFound
from vector_assets.index.recall import Found
from vector_assets.index.swap import promote, roll_back, settle
from vector_assets.stores.workspace import Workspace


def test_without_questions_a_person_promotes(store: FakeStore) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    measured, swapped = materialize(store)
    assert measured.decision.decision == "needs_evaluation"
    assert swapped.action == "kept"
    promoted = promote(store, store.catch_up, because="I looked at it")
    assert (promoted.action, promoted.live.number, promoted.before) == ("promoted", 2, 1)
    assert materialize(store)[1].live.number == 2


def test_promotion_brings_the_candidate_up_to_date_first(store: FakeStore, execute: Execute, name: str) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    materialize(store)
    execute(f"insert into {name} (id, title) values (500, 'fish dog')")
    execute(f"delete from {name} where id = 4")
    promote(store, store.catch_up, because="test")
    assert search(store, "fish dog").hits[0].id == "500"
    assert store.check_coverage(store.live()).numbers["source"] == 40


def test_there_may_be_nothing_to_promote(store: FakeStore) -> None:
    with pytest.raises(NotFound, match="no candidate to promote"):
        promote(store, store.catch_up, because="test")
    with pytest.raises(NotFound, match="nothing can go live: there is no candidate"):
        settle(store, store.catch_up)
    materialize(store)
    with pytest.raises(NotFound, match="no retired generation"):
        store.workspace.generations.rollback_target(store.collection.name)


def test_rollback_takes_the_last_one_back_for_good(store: FakeStore, execute: Execute, name: str) -> None:
    store.use(KeywordEncoder(order=WRONG))
    begin(store)
    good = KeywordEncoder(seed="good")
    store.use(good)
    materialize(store)
    execute(f"insert into {name} (id, title) values (500, 'fish dog')")
    store.embed()
    target = store.workspace.generations.rollback_target(name)
    back = roll_back(store, target, store.catch_up, because="people complained")
    assert (back.action, back.live.number, back.before) == ("rolled back", 1, 2)
    assert store.check_coverage(store.live()).numbers["pending"] == 0, "it is brought up to date"
    retired = "select generation from ops.generations where collection = %s and retired_at is not null"
    assert execute(retired, (name,)) == [(2,)], "what is live again is not said to be retired"
    good.encoded.clear()
    for _ in range(2):
        measured, swapped = materialize(store)
        assert (measured.generation.number, swapped.live.number, swapped.action) == (1, 1, "kept")
    assert good.encoded == []
    assert states(store) == {2: "retired", 1: "live"}
    forward = roll_back(store, store.workspace.generations.rollback_target(name), store.catch_up, because="no, it was")
    assert forward.live.number == 2
    assert materialize(store)[1].live.number == 2


@pytest.mark.parametrize("check", ["canaries", "recall"])
def test_failed_integrity_blocks_even_a_promotion_by_hand(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch, check: str
) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    if check == "canaries":
        store.canaries_pass = False
    else:
        exact = store.neighbours

        def deaf(generation: object, queries: object, *, k: int, ef_search: int | None) -> Found:
            found = exact(generation, queries, k=k, ef_search=ef_search)  # type: ignore[arg-type]
            return found if ef_search is None else Found([[9.0] * len(each) for each in found.distances])

        monkeypatch.setattr(store, "neighbours", deaf)
    store.embed()
    measured = measure(store)
    assert not measured.sound
    assert [each.name for each in measured.checks if not each.passed] == [check]
    with pytest.raises(IntegrityError, match=f"generation 2 may not go live: {check} did not pass"):
        promote(store, store.catch_up, because="I insist")
    assert settle(store, store.catch_up).live.number == 1
    assert store.workspace.generations.live(store.collection.name).number == 1  # type: ignore[union-attr]


def test_a_candidate_that_was_not_measured_may_not_go_live(store: FakeStore) -> None:
    store.embed()
    generation = store.workspace.generations.set_state(store.all()[0], "candidate")
    with pytest.raises(IntegrityError, match="coverage, dims_and_norm, canaries, recall did not pass"):
        promote(store, store.catch_up, because="I insist")
    assert generation.number == 1


def test_rows_that_a_sync_passes_over_block(store: FakeStore) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    store.embed()
    measure(store)
    number = store.all()[0].number

    def forgetful(generation: object) -> None:
        store._caught_up[number] = store.workspace.embeddings.now()

    with psycopg.connect(store.workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute(f"insert into {store.collection.name} (id, title) values (900, 'cat')")  # type: ignore[arg-type]
    with pytest.raises(CoverageError, match=r"generation 2 may not go live: 40 of 41 rows.*1 pending \(1 overdue\)"):
        promote(store, forgetful, because="test")
    assert states(store) == {2: "candidate", 1: "live"}


def test_a_table_that_is_written_to_all_the_time_still_goes_live(store: FakeStore, execute: Execute, name: str) -> None:
    stop = threading.Event()
    failed: list[Exception] = []

    def write() -> None:
        number = 1000
        try:
            while not stop.is_set():
                number += 1
                execute(f"insert into {name} (id, title) values ({number}, 'cat'); "
                        f"update {name} set body = body || '.' where id = {1 + number % 40}; "
                        f"delete from {name} where id = {number - 3}")  # fmt: skip
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        time.sleep(0.2)
        measured, swapped = materialize(store)
    finally:
        stop.set()
        thread.join()
    assert not failed
    assert measured.sound, [check.summary for check in measured.checks]
    assert swapped.action == "promoted"


def test_an_older_candidate_does_not_overtake_live(store: FakeStore) -> None:
    """It was to be promoted, but a newer one went live first, and the process ended before the older was dropped."""
    store.use(KeywordEncoder(order=WRONG))
    begin(store)
    store.use(KeywordEncoder(seed="good"))
    store.embed()
    assert measure(store).decision.decision == "promote"
    store.use(KeywordEncoder(seed="newer"))
    store.embed()
    store.swap(store.all()[0], because="another process")
    assert states(store) == {3: "live", 2: "candidate", 1: "retired"}
    swapped = settle(store, store.catch_up)
    assert (swapped.action, swapped.live.number) == ("kept", 3)
    assert states(store) == {3: "live", 2: "candidate", 1: "retired"}


@pytest.mark.parametrize("way", ["promote", "roll back"])
def test_one_swap_at_a_time(store: FakeStore, execute: Execute, way: str) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    materialize(store)
    if way == "roll back":
        promote(store, store.catch_up, because="test")

    def swap() -> None:
        if way == "promote":
            promote(store, store.catch_up, because="test")
        else:
            target = store.workspace.generations.rollback_target(store.collection.name)
            roll_back(store, target, None, because="test")

    before = states(store)
    thread = threading.Thread(target=swap)
    with store.lock():
        thread.start()
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        while thread.is_alive() and execute(waiting) == [(0,)]:
            time.sleep(0.01)
        assert thread.is_alive() and states(store) == before, "it waits for the other swap"
    thread.join(30)
    assert states(store) != before


def test_rollback_goes_to_what_was_live_last_not_to_the_newest(store: FakeStore) -> None:
    store.questions_asked = []
    generations = store.workspace.generations
    for seed in ("1", "2", "3"):
        store.use(KeywordEncoder(seed=seed))
        materialize(store)
        if seed != "1":
            promote(store, store.catch_up, because="test")
    roll_back(store, generations.rollback_target(store.collection.name), None, because="3 was bad")
    store.use(KeywordEncoder(seed="4"))
    materialize(store)
    promote(store, store.catch_up, because="test")
    assert states(store) == {4: "live", 3: "retired", 2: "retired", 1: "retired"}
    assert generations.rollback_target(store.collection.name).number == 2


def test_a_swap_leaves_other_collections_alone(
    store: FakeStore, workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    materialize(store)
    execute(f"create table {name}_b as table {name}; alter table {name}_b add primary key (id)")
    other = FakeStore(
        workspace,
        declare(name=f"{name}_b", source={"kind": "postgres", "table": f"{name}_b"}),
        KeywordEncoder(seed="b"),
    )
    materialize(other)
    assert states(store) == states(other) == {1: "live"}
    live = "select name, live_generation from ops.collections where name like %s order by 1"
    assert execute(live, (f"{name}%",)) == [(name, 1), (f"{name}_b", 1)]
    store.questions_asked = []
    store.use(KeywordEncoder(seed="other"))
    materialize(store)
    promote(store, store.catch_up, because="test")
    assert (states(store), states(other)) == ({2: "live", 1: "retired"}, {1: "live"})
    assert execute(live, (f"{name}%",)) == [(name, 2), (f"{name}_b", 1)]
