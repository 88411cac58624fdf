"""Drift against real tables: what is compared with what, what is kept, and what a candidate may not do by itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drifting import TopicEncoder, add_rows, train_on
from fakes import Declare, Execute, FakeStore

from vector_assets.errors import SourceError, SpecError
from vector_assets.index.swap import promote, settle
from vector_assets.records import Decision, JudgedQuery
from vector_assets.spec.load import load_text
from vector_assets.stores.drift import measure_drift, retraining_due, withheld
from vector_assets.stores.drift_found import Found, Kind, recorded
from vector_assets.stores.drift_samples import DriftSamples
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace

Store = Callable[..., FakeStore]
DRIFT = {"sample": 300, "every": "1s"}


@pytest.fixture
def make_store(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> Store:
    """A live collection of 120 rows about speech."""

    def make(drift: dict[str, object] = DRIFT, rows: int = 120, **changes: object) -> FakeStore:
        animals(0)
        add_rows(execute, name, "speech", 1, rows)
        store = FakeStore(workspace, declare(drift=drift, **changes), TopicEncoder())
        store.embed()
        store.swap(store.all()[0], because="a test")
        return store

    return make


def measure(store: FakeStore, kind: Kind = "corpus", **options: object) -> Found:
    """Measure now, whenever it was measured last."""
    with store.workspace.database.connect() as connection:
        connection.execute("update ops.drift set measured_at = measured_at - interval '1 day'")
    (found,) = measure_drift(store, kind, log=lambda _: None, **options)  # type: ignore[arg-type]
    assert found.now
    return found


def test_an_untrained_encoder_is_judged_by_the_rows_that_it_was_first_used_on(
    make_store: Store, execute: Execute, name: str
) -> None:
    store = make_store()
    first = measure(store)
    assert (first.enough, first.tripped, first.origin, first.reference) == (False, False, "rows first indexed", 120)
    assert "too few to say" in first.summary
    add_rows(execute, name, "speech", 1000, 90)
    store.embed()
    same = measure(store)
    assert same.enough and not same.tripped and same.current == 90, same.summary
    assert same.compared.startswith("rows that came or changed since")
    assert same.picture and Path(same.picture).read_bytes().startswith(b"\x89PNG")
    execute(f"delete from {name} where id >= 1000")
    add_rows(execute, name, "music", 2000, 90)
    store.embed()
    far = measure(store)
    assert far.tripped and far.auc > 0.75 and far.reference == 120, far.summary
    assert "rows have drifted: AUC" in far.summary
    execute(f"update {name} set title = 'speech ' || id where id >= 2000")
    store.embed()
    assert not measure(store).tripped, "and what was taken back is forgotten"


def test_a_trained_encoder_is_judged_by_its_training_texts(make_store: Store, execute: Execute, name: str) -> None:
    store = make_store()
    train_on(store, [f"speech of the training {i}" for i in range(150)], queries=lambda i: f"q {i}")
    found = measure(store)
    assert found.enough and not found.tripped and (found.reference, found.current) == (150, 120), found.summary
    assert found.origin.startswith("training set ") and found.compared == "rows of the whole collection"
    encoded = len(store.chosen["text"].encoded)
    measure(store)
    assert len(store.chosen["text"].encoded) == encoded, "the sample's vectors are kept"
    train_on(store, [f"music {i}" for i in range(150)], queries=lambda i: f"q {i}")
    mismatch = measure(store)
    assert mismatch.tripped, "another training set of the same checkpoint is another sample"


def test_rows_that_a_sample_was_drawn_from_are_not_compared_with_themselves(make_store: Store) -> None:
    store = make_store(DRIFT | {"sample": 100}, rows=160)
    train_on(store, [f"speech {i}\nb" for i in range(1, 101)], queries=lambda i: "", keys=True)
    found = measure(store)
    assert (found.reference, found.current, found.tripped) == (100, 60, False)


def test_a_sample_too_small_to_say_anything_is_drawn_anew(make_store: Store, execute: Execute, name: str) -> None:
    store = make_store(rows=20)
    assert measure(store).reference == 20
    add_rows(execute, name, "speech", 1000, 100)
    store.embed()
    assert measure(store).reference == 120


def test_of_a_row_in_chunks_any_chunk_may_stand_for_it(make_store: Store, execute: Execute, name: str) -> None:
    store = make_store(spaces={"text": {"fields": ["title", "body"], "chunk": {"by": "paragraph"}}})
    execute(f"update {name} set body = 'music'")
    store.embed()
    live = store.live()
    _, vectors = DriftSamples(store, 300).rows(live, live.parts[0])
    music = np.abs(vectors[:, 0]) > np.abs(vectors[:, 1])
    assert len(vectors) == 120 and 0.3 < float(np.mean(music)) < 0.7


def test_each_space_is_compared_by_its_own_part_of_the_vectors(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(0)
    add_rows(execute, name, "speech", 1, 120)
    execute(f"update {name} set body = 'music ' || id where id > 10")
    execute(f"update {name} set body = null where id <= 10")
    execute(f"insert into {name} (id) values (500)")
    spaces = {"titles": {"fields": ["title"]}, "bodies": {"fields": ["body"]}}
    titles, bodies = TopicEncoder(), TopicEncoder(seed="bodies", width=12)
    store = FakeStore(workspace, declare(drift=DRIFT, spaces=spaces), titles, bodies)
    store.embed()
    store.swap(store.all()[0], because="a test")
    train_on(store, [f"speech {i} of old" for i in range(150)], queries=lambda i: "", space="titles")
    train_on(store, [f"music {i} of old" for i in range(150)], queries=lambda i: "", space="bodies")
    found = {one.space: one for one in measure_drift(store, "corpus", log=lambda _: None)}
    assert {name: (one.current, one.tripped) for name, one in found.items()} == {
        "titles": (120, False), "bodies": (110, False),
    }  # fmt: skip
    left = declare(drift=DRIFT, spaces={"titles": {"fields": ["title"]}})
    assert [one.space for one in recorded(workspace.database, left, "corpus")] == ["titles"]

    # Another checkpoint of bodies; what titles were trained on is what live was trained on as well.
    train_on(store, [f"music {i}" for i in range(150)], queries=lambda i: "", space="titles")
    store.use(titles, TopicEncoder(seed="other bodies", width=12))
    store.embed()
    better = Decision("promote", "better than live: a test")
    assert withheld(store, store.all()[0], better) == better


def test_a_sample_outlives_a_generation_of_the_same_checkpoint(
    make_store: Store, declare: Declare, execute: Execute, name: str
) -> None:
    store = make_store()
    measure(store)
    store.collection = declare(drift=DRIFT, filters=["topic"])
    store.embed()
    store.swap(store.all()[0], because="a column beside the vectors")
    add_rows(execute, name, "music", 2000, 90)
    store.embed()
    found = measure(store)
    assert found.generation == 2
    assert (found.reference, found.current, found.tripped) == (120, 90, True), "rows that were copied are not new"


def test_chunks_are_compared_one_a_row(make_store: Store, execute: Execute, name: str) -> None:
    chunked = {"text": {"fields": ["title", "body"], "chunk": {"by": "sentence", "size": 40}}}
    store = make_store(spaces=chunked)
    long = [f"speech {i} is long enough. Speech number {i} has another line. speech ends {i}." for i in range(80)]
    train_on(store, long, queries=lambda i: "")
    execute(f"update {name} set body = 'This is speech too, part ' || id || '. More speech of ' || id || '.'")
    store.embed()
    found = measure(store)
    assert (found.reference, found.current, found.tripped) == (80, 120, False)


def test_what_was_measured_a_moment_ago_is_told_again(make_store: Store, declare: Declare) -> None:
    store = make_store({"sample": 300, "every": "1h"})
    train_on(store, [f"music {i}" for i in range(150)], queries=lambda i: "")
    assert measure(store).tripped
    (again,) = measure_drift(store, "corpus", log=lambda _: None)
    assert not again.now and again.tripped
    store.collection = declare(drift={"every": "1h", "corpus": 0.999})
    (lenient,) = measure_drift(store, "corpus", log=lambda _: None)
    assert not lenient.now and not lenient.tripped and lenient.bound == 0.999, "the bound is of today"


def test_nothing_live_measures_nothing(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> None:
    animals(3)
    store = FakeStore(workspace, declare(drift={}), TopicEncoder())
    assert measure_drift(store, "corpus", log=lambda _: None) == ()
    assert recorded(workspace.database, store.collection, "corpus") == ()


class Asked:
    """A log of searches."""

    def __init__(self, topic: str, count: int = 80) -> None:
        self.texts = [f"{topic} question {i}" for i in range(count)]

    def recent_queries(self, collection: str, n: int) -> list[str]:
        return self.texts[:n]


def test_questions_are_judged_by_those_of_the_training(make_store: Store) -> None:
    store = make_store()
    train_on(store, ["speech"] * 1 + [f"speech {i}" for i in range(99)], queries=lambda i: f"speech asked {i}")
    assert measure(store, "queries").summary.startswith("text: too few to say: 100 questions of training set ")
    same = measure(store, "queries", recent=Asked("speech"))
    assert same.enough and not same.tripped and (same.reference, same.current) == (100, 80)
    far = measure(store, "queries", recent=Asked("music"))
    assert far.tripped and "questions have drifted" in far.summary
    assert not measure(store, "queries", recent=Asked("music", 20)).enough


def test_questions_are_judged_by_the_evaluation_where_nothing_was_trained(make_store: Store) -> None:
    store = make_store()
    assert "no questions to compare with" in measure(store, "queries", recent=Asked("music")).summary
    store.questions_asked = [JudgedQuery(str(i), f"speech asked {i}", {"[1]": 1.0}) for i in range(70)]
    found = measure(store, "queries", recent=Asked("music"))
    assert (found.origin, found.tripped) == ("judged questions", True)


def test_questions_come_from_a_declared_file(make_store: Store, tmp_path: Path) -> None:
    file = tmp_path / "recent.jsonl"
    lines = [{"text": f"speech old {i}"} for i in range(500)] + [{"query": f"music new {i}"} for i in range(300)]
    file.write_text("\n".join(map(json.dumps, [*lines, {"text": " "}])))
    store = make_store(DRIFT | {"recent": "recent.jsonl"})
    store.collection = store.collection.at(tmp_path)
    store.questions_asked = [JudgedQuery(str(i), f"speech asked {i}", {"[1]": 1.0}) for i in range(70)]
    found = measure(store, "queries", recent=Asked("speech"))
    assert (found.current, found.tripped) == (300, True), "the newest of the file, which comes before the log"
    file.write_text('{"text": "a"}\n{"txt": "b"}\n')
    with pytest.raises(SourceError, match=r"recent.jsonl:2: text or query is missing"):
        measure(store, "queries")


def test_a_candidate_trained_on_other_rows_waits_for_a_person(make_store: Store) -> None:
    """Acceptance row P4: beyond the bound nothing is promoted by itself; and what is live is not touched by it."""
    store = make_store()
    store.questions_asked = [JudgedQuery(str(i), f"speech {i}\nb", {f"[{i}]": 1.0}) for i in range(1, 41)]
    store.use(TopicEncoder(seed="tuned", strength=1.6))
    train_on(store, [f"music {i}" for i in range(150)], queries=lambda i: "")
    store.embed()
    candidate = store.all()[0]
    better = Decision("promote", "better than live: a test")
    stopped = withheld(store, candidate, better)
    assert stopped.decision == "needs_evaluation"
    assert "trained on other rows than it is to serve: AUC" in stopped.reason and "better than live" in stopped.reason
    assert withheld(store, candidate, Decision("keep", "a tie")).decision == "keep"
    assert withheld(store, store.live(), better) == better, "what means the same as live takes nothing away"
    measured = measure_newest(store, maintenance=False, log=lambda _: None)
    assert measured.decision.decision != "promote"
    assert settle(store, store.catch_up).action == "kept"
    train_on(store, [f"speech {i} of today" for i in range(150)], queries=lambda i: "")
    assert withheld(store, candidate, better) == better, "drawn anew, it is like the rows"
    assert promote(store, store.catch_up, because="a person said so").live.number == candidate.number


def test_without_a_declaration_it_waits_as_well_unless_that_is_turned_off(make_store: Store, declare: Declare) -> None:
    store = make_store()
    store.use(TopicEncoder(seed="tuned", strength=1.6))
    train_on(store, [f"music {i}" for i in range(150)], queries=lambda i: "")
    store.embed()
    better = Decision("promote", "better than live: a test")
    for drift, decision in ((None, "needs_evaluation"), ({"withhold": False}, "promote"), ({}, "needs_evaluation")):
        store.collection = declare(drift=drift)
        assert withheld(store, store.all()[0], better).decision == decision, drift
    train_on(store, [f"music {i}" for i in range(49)], queries=lambda i: "")
    assert withheld(store, store.all()[0], better) == better, "too few texts to say anything by"


def test_topics_held_out_of_the_training_are_no_other_rows(make_store: Store, execute: Execute, name: str) -> None:
    """A split by topic leaves whole topics to validation and test; they are rows that it is to serve all the same."""
    store = make_store()
    add_rows(execute, name, "music", 1000, 30)
    store.use(TopicEncoder(seed="tuned", strength=1.6))
    train_on(store, [f"speech {i}\nb" for i in range(1, 121)], queries=lambda i: "", keys=True)
    store.embed()
    better = Decision("promote", "better than live: a test")
    assert withheld(store, store.all()[0], better) == better
    execute(f"update {name} set title = 'music ' || id where id < 1000")
    store.embed()
    assert withheld(store, store.all()[0], better).decision == "needs_evaluation", "but other rows are"


def test_the_first_generation_goes_live_whatever_it_was_trained_on(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(0)
    add_rows(execute, name, "speech", 1, 120)
    store = FakeStore(workspace, declare(drift={}), TopicEncoder())
    train_on(store, [f"music {i}" for i in range(150)], queries=lambda i: "")
    store.embed()
    promoted = Decision("promote", "first generation")
    assert withheld(store, store.all()[0], promoted) == promoted


def test_retraining_is_due_once_after_a_drift_and_not_within_its_cooldown(
    make_store: Store, execute: Execute, name: str
) -> None:
    from datetime import UTC, datetime, timedelta

    trained = {"text": {"fields": ["title"], "train": {"pairs": {"query": "body"}}}}
    store = make_store(DRIFT | {"retrain": True, "cooldown": "2d"}, spaces=trained, automation={"on_change": True})
    database, now = store.workspace.database, datetime.now(UTC)

    def due(after: timedelta = timedelta(0)) -> bool:
        return retraining_due(database, store.collection, "text", now=now + after) is not None

    train_on(store, [f"speech {i}" for i in range(150)], queries=lambda i: "")
    execute("update ops.training_draws set drawn_at = now() - interval '3 days' where collection = %s", (name,))
    measure(store)
    assert not due()
    add_rows(execute, name, "music", 2000, 90)
    store.embed()
    assert measure(store).tripped
    assert due()
    execute("update ops.training_draws set drawn_at = now() where collection = %s", (name,))
    assert not due(), "the drawing answered it"
    assert not due(timedelta(days=3)), "and so it does for good"
    assert measure(store).tripped
    assert not due(), "it drifted on, but the cooldown holds"
    assert due(timedelta(days=3))


def test_the_newest_of_two_drifts_makes_retraining_due(make_store: Store, execute: Execute, name: str) -> None:
    from datetime import UTC, datetime

    trained = {"text": {"fields": ["title"], "train": {"pairs": {"query": "body"}}}}
    drift = DRIFT | {"retrain": True, "cooldown": "1d"}
    store = make_store(drift, spaces=trained, automation={"on_change": True})
    train_on(store, [f"music {i}" for i in range(150)], queries=lambda i: f"speech asked {i}")
    assert measure(store, "corpus").tripped and measure(store, "queries", recent=Asked("music")).tripped
    execute("update ops.training_draws set drawn_at = now() - interval '2 days' where collection = %s", (name,))
    execute(
        "update ops.drift set measured_at = now() - interval '3 days' where collection = %s and kind = 'corpus'",
        (name,),
    )
    due = retraining_due(store.workspace.database, store.collection, "text", now=datetime.now(UTC))
    assert due and "questions have drifted" in due.why


@pytest.mark.parametrize(
    ("drift", "said"),
    [
        ("{corpus: 0.5}", r":7: drift.corpus: found 0.5; expected .*greater than 0.5"),
        ("{corpus: 1.0}", r":7: drift.corpus: "),
        ("{sample: 10}", r":7: drift.sample: "),
        ("{every: 1w}", r":7: drift.every: "),
        ("{bound: 1}", r":7: drift.bound"),
        ("{retrain: true}", r"drift.retrain: no space declares train:"),
    ],
)
def test_wrong_declarations_are_refused_with_their_line(drift: str, said: str, tmp_path: Path) -> None:
    declared = (
        "type: vector_assets.CollectionComponent\nattributes:\n  name: papers\n"
        "  source: {kind: postgres, table: papers}\n  fields: {title: text}\n"
        f"  spaces: {{text: {{fields: [title]}}}}\n  drift: {drift}\n"
    )
    with pytest.raises(SpecError, match=said):
        load_text(declared, "defs.yaml", tmp_path)


def test_retraining_without_automation_is_refused(declare: Declare) -> None:
    trained = {"text": {"fields": ["title"], "train": {"pairs": {"query": "body"}}}}
    with pytest.raises(ValueError, match="asks by automation, which is off"):
        declare(spaces=trained, drift={"retrain": True})
    assert declare(spaces=trained, drift={"retrain": True}, automation={"on_change": True}).drift
