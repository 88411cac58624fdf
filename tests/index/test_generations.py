"""Generations: a candidate beside live, the gate, the swap, the way back, and what MLflow is told."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from fakes import ANIMALS, Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.errors import CoverageError, IntegrityError, NotFound, NotLive
from vector_assets.index.swap import Swapped, promote, roll_back, settle
from vector_assets.records import JudgedQuery
from vector_assets.search.engine import Hits, SearchEngine
from vector_assets.stores.checkpoints import Registered
from vector_assets.stores.measuring import Measured, measure_newest
from vector_assets.stores.outbox import project_live
from vector_assets.stores.workspace import Workspace

#: Asks for cats and finds fish: worse than the plain encoder on every question.
WRONG = (3, 0, 1, 2, 4)


def measure(store: FakeStore, *, maintenance: bool = False) -> Measured:
    return measure_newest(store, maintenance=maintenance, log=lambda _: None)


def materialize(store: FakeStore) -> tuple[Measured, Swapped]:
    """Embeddings, candidate and index, as a run does."""
    store.embed()
    measured = measure(store)
    return measured, settle(store, store.catch_up)


def states(store: FakeStore) -> dict[int, str]:
    return {g.number: g.state for g in store.all()}


def search(store: FakeStore, question: str, k: int = 5) -> Hits:
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    return engine.search(question, k=k)


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """40 animals; four questions, each with its ten animals as the answer."""
    animals(40)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    store.questions_asked = [
        JudgedQuery(word, f"a {word}", {f"[{i}]": 1.0 for i in range(1, 41) if i % 4 == place})
        for place, word in enumerate(ANIMALS)
    ]
    return store


def test_the_first_generation_goes_live(store: FakeStore) -> None:
    measured, swapped = materialize(store)
    assert (measured.decision.decision, measured.now, measured.sound) == ("promote", True, True)
    assert measured.values["evaluation"] == {
        "ndcg@10": 1.0, "recall@10": 1.0, "recall@100": 1.0, "mrr@10": 1.0, "map": 1.0
    }  # fmt: skip
    assert (swapped.action, swapped.live.number, swapped.before) == ("promoted", 1, None)
    hits = search(store, "an owl")
    assert [hit.id for hit in hits.hits] == ["2", "6", "10", "14", "18"] or {int(hit.id) % 4 for hit in hits.hits} == {
        2
    }
    assert hits.generation == 1


def test_a_second_run_measures_and_swaps_nothing_and_has_the_same_versions(store: FakeStore) -> None:
    first, _ = materialize(store)
    second, swapped = materialize(store)
    assert not second.now
    assert second.version == first.version
    assert (swapped.action, swapped.live.number) == ("kept", 1)


def test_a_better_checkpoint_is_built_beside_live_and_promoted(store: FakeStore, execute: Execute, name: str) -> None:
    store.use(KeywordEncoder(order=WRONG))
    materialize(store)
    good = KeywordEncoder(seed="good")
    store.use(good)
    run = store.embed()
    assert run.live and run.coming and (run.live.number, run.coming.number) == (1, 2)
    assert len(good.encoded) == 40
    assert states(store) == {2: "building", 1: "live"}
    execute(f"update {name} set title = 'cat news' where id = 1")
    assert [report.encoded for report in store.embed().reports] == [1, 1], "live stays fresh while another is built"
    measured = measure(store)
    assert measured.decision.decision == "promote"
    comparison = measured.decision.comparison
    assert comparison and (comparison.old < 0.3, comparison.new > 0.9, comparison.low > 0) == (True, True, True)
    assert states(store) == {2: "candidate", 1: "live"}
    assert settle(store, store.catch_up).before == 1
    assert states(store) == {2: "live", 1: "retired"}


def test_a_worse_checkpoint_keeps_live_and_is_not_built_again(store: FakeStore) -> None:
    materialize(store)
    bad = KeywordEncoder(order=WRONG)
    store.use(bad)
    measured, swapped = materialize(store)
    assert measured.decision.decision == "keep"
    assert measured.decision.reason.startswith("worse than live: mrr@10")
    assert (swapped.action, swapped.live.number) == ("kept", 1)
    bad.encoded.clear()
    again, swapped = materialize(store)
    assert (again.generation.number, swapped.live.number, bad.encoded) == (1, 1, [])
    assert states(store) == {2: "candidate", 1: "live"}


def test_a_tie_keeps_live(store: FakeStore) -> None:
    materialize(store)
    store.use(KeywordEncoder(seed="equal"))
    measured, swapped = materialize(store)
    assert measured.decision.decision == "keep"
    assert measured.decision.reason.startswith("a tie keeps live")
    assert swapped.live.number == 1


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


def test_changed_filters_go_live_without_encoding(store: FakeStore, declare: Declare, workspace: Workspace) -> None:
    encoder = KeywordEncoder()
    store.use(encoder)
    materialize(store)
    encoder.encoded.clear()
    filtered = FakeStore(workspace, declare(filters=["topic"]), encoder)
    measured, swapped = materialize(filtered)
    assert encoder.encoded == []
    assert measured.decision.decision == "promote"
    assert (swapped.action, swapped.live.number, swapped.live.filters) == ("promoted", 2, ("topic",))


def test_rollback_takes_the_last_one_back_for_good(store: FakeStore, execute: Execute, name: str) -> None:
    store.use(KeywordEncoder(order=WRONG))
    materialize(store)
    good = KeywordEncoder(seed="good")
    store.use(good)
    materialize(store)
    execute(f"insert into {name} (id, title) values (500, 'fish dog')")
    store.embed()
    target = store.workspace.generations.rollback_target(name)
    back = roll_back(store, target, store.catch_up, because="people complained")
    assert (back.action, back.live.number, back.before) == ("rolled back", 1, 2)
    assert store.check_coverage(store.live()).passed, "it is brought up to date"
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

        def deaf(generation: object, queries: object, *, k: int, ef_search: int | None) -> list[list[float]]:
            found = exact(generation, queries, k=k, ef_search=ef_search)  # type: ignore[arg-type]
            return found if ef_search is None else [[9.0] * len(each) for each in found]

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


def test_a_blocked_candidate_does_not_stand_in_the_way_when_the_declaration_goes_back(store: FakeStore) -> None:
    first = KeywordEncoder(order=WRONG)
    store.use(first)
    materialize(store)
    store.use(KeywordEncoder(seed="better"))
    store.canaries_pass = False
    store.embed()
    assert measure(store).decision.decision == "promote"
    with pytest.raises(IntegrityError):
        settle(store, store.catch_up)
    store.canaries_pass = True
    store.use(first)
    assert materialize(store)[1].live.number == 1


def test_the_last_generations_are_kept(store: FakeStore, declare: Declare, execute: Execute, name: str) -> None:
    store.collection = declare(keep_generations=1)
    store.questions_asked = []
    materialize(store)
    for number in (2, 3, 4):
        store.use(KeywordEncoder(seed=f"{number}"))
        materialize(store)
        swapped = promote(store, store.catch_up, because="test")
        assert swapped.dropped == (() if number == 2 else (number - 2,))
    assert states(store) == {4: "live", 3: "retired", 2: "retired", 1: "retired"}
    rows = execute(
        "select tablename from pg_tables where schemaname = 'embedding' and tablename like %s", (f"{name}\\_g%",)
    )
    tables = {str(row[0]) for row in rows}
    assert tables == {f"{name}_g3", f"{name}_g3_rows", f"{name}_g4", f"{name}_g4_rows"}
    assert store.workspace.generations.rollback_target(name).number == 3


def test_the_search_function_refuses_a_checkpoint_that_is_not_live(
    store: FakeStore, execute: Execute, name: str
) -> None:
    old = store.chosen["text"]
    materialize(store)
    query = "[1,0,0,0,0]"
    call = f"select * from search.{name}(q => %s::vector, k => 3, checkpoint => %s)"
    assert len(execute(call, (query, old.digest))) == 3
    new = KeywordEncoder(seed="new")
    store.use(new)
    store.questions_asked = []
    materialize(store)
    promote(store, store.catch_up, because="test")
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as caught:
        execute(call, (query, old.digest))
    assert f"checkpoint {old.digest} is not live for collection {name}; live is generation 2" in str(caught.value)
    assert len(execute(call, (query, new.digest))) == 3
    assert len(execute(call, (query, None))) == 3
    with pytest.raises(psycopg.errors.DataException, match=f"a query for {name} has 5 dimensions, found 3"):
        execute(call, ("[1,0,0]", None))
    assert execute(f"select distinct generation, stale from search.{name}_rows") == [(2, False)]


def test_an_engine_follows_a_swap(store: FakeStore) -> None:
    materialize(store)
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    assert engine.search("cat", k=3).generation == 1
    store.questions_asked = []
    store.use(KeywordEncoder(["owl", "cat"]))
    materialize(store)
    promote(store, store.catch_up, because="other dims even")
    hits = engine.search("cat", k=3)
    assert hits.generation == 2
    assert {int(hit.id) % 4 for hit in hits.hits} == {0}


def test_a_swap_never_gives_a_reader_errors_or_a_mixture(store: FakeStore) -> None:
    """Two generations of different meaning go live in turns while a thread asks."""
    materialize(store)
    store.questions_asked = []
    store.use(KeywordEncoder(["owl", "cat"], seed="narrow"))
    materialize(store)
    promote(store, store.catch_up, because="test")
    stop = threading.Event()
    seen: list[tuple[int, tuple[int, ...], tuple[float, ...]]] = []
    failed: list[Exception] = []

    def read() -> None:
        engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
        try:
            while not stop.is_set():
                hits = engine.search("a cat", k=10)
                places = tuple(int(hit.id) % 4 for hit in hits.hits)
                seen.append((hits.generation, places, tuple(round(hit.score, 3) for hit in hits.hits)))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    both = [store.workspace.generations.get(store.collection.name, number) for number in (1, 2)]
    ends = time.monotonic() + 2
    swaps = 0
    while time.monotonic() < ends:
        store.swap(both[swaps % 2], because="test")
        swaps += 1
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not failed, failed
    assert swaps > 10
    assert {generation for generation, _, _ in seen} == {1, 2}
    assert {(places, scores) for _, places, scores in seen} == {((0,) * 10, (1.0,) * 10)}


def test_a_reader_survives_the_end_of_its_connection(store: FakeStore, execute: Execute) -> None:
    materialize(store)
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    assert len(engine.search("cat", k=3).hits) == 3
    execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'vector_assets_reader'")
    assert len(engine.search("cat", k=3).hits) == 3


def test_a_search_before_anything_is_live_says_so(store: FakeStore) -> None:
    with pytest.raises(NotLive, match="has no live generation; run vector-assets materialize"):
        search(store, "cat")


def test_a_failed_build_leaves_live_and_cleans_up(store: FakeStore, execute: Execute, name: str) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    store.embed()
    store.workspace.generations.fail(store.all()[0])
    assert states(store) == {2: "failed", 1: "live"}
    assert (
        execute("select 1 from pg_tables where schemaname = 'embedding' and tablename like %s", (f"{name}\\_g2%",))
        == []
    )
    assert len(search(store, "cat").hits) == 5
    store.embed()
    assert states(store) == {3: "building", 2: "failed", 1: "live"}, "the same checkpoints may be tried again"


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
