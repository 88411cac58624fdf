"""Generations: a candidate beside live, what the gate decides, what is kept and what is cleaned up."""

from __future__ import annotations

import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import WRONG, begin, materialize, measure, search, states

from vector_assets.errors import IntegrityError, NotFound
from vector_assets.index.swap import promote, settle
from vector_assets.stores.workspace import Workspace


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
    begin(store)
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


def test_a_blocked_candidate_does_not_stand_in_the_way_when_the_declaration_goes_back(
    store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = KeywordEncoder(order=WRONG)
    store.use(first)
    begin(store)
    store.use(KeywordEncoder(seed="better"))
    monkeypatch.setattr(store, "worst_norm", lambda generation: 0.5)
    store.embed()
    assert measure(store).decision.decision == "promote"
    with pytest.raises(IntegrityError):
        settle(store, store.catch_up)
    monkeypatch.undo()
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
    when = "select retired_at < dropped_at from ops.generations where collection = %s and generation = 1"
    assert execute(when, (name,)) == [(True,)], "when it was retired stays known"


def test_a_build_in_progress_outlives_a_newer_one_that_failed(store: FakeStore) -> None:
    materialize(store)
    store.use(KeywordEncoder(seed="slow"))
    store.embed()
    slow = store.all()[0]
    store.use(KeywordEncoder(seed="broken"))
    store.workspace.generations.create(store.collection, store.layout(), store.relation, run_id=None)
    store.workspace.generations.fail(store.all()[0])
    assert store.drop_retired() == ()
    assert states(store) == {3: "failed", slow.number: "building", 1: "live"}
    store.workspace.generations.create(store.collection, store.layout(), store.relation, run_id=None)
    assert store.drop_retired() == (2,), "one that is overtaken goes"
    assert states(store) == {4: "building", 3: "failed", 2: "retired", 1: "live"}


def test_nothing_that_was_dropped_can_be_rolled_back_to(store: FakeStore, name: str) -> None:
    store.questions_asked = []
    materialize(store)
    store.use(KeywordEncoder(seed="other"))
    materialize(store)
    promote(store, store.catch_up, because="test")
    assert store.workspace.generations.drop_retired(name, keep=0) == (1,)
    with pytest.raises(NotFound, match="no retired generation"):
        store.workspace.generations.rollback_target(name)


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
