"""Several spaces, several generations and several runs side by side: each ends true, nothing is encoded twice."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.embedding import run as run_module
from vector_assets.stores.sync_pages import Pages
from vector_assets.stores.workspace import Workspace


def two_spaces(workspace: Workspace, declare: Declare) -> tuple[FakeStore, KeywordEncoder, KeywordEncoder]:
    """A store whose first generation is live, and its encoders of titles and bodies."""
    title, body = KeywordEncoder(), KeywordEncoder(["body", "new"])
    spaces = {"title": {"fields": ["title"]}, "body": {"fields": ["body"]}}
    store = FakeStore(workspace, declare(spaces=spaces), title, body)
    first = store.embed().coming
    assert first
    store.swap(first, because="test")
    return store, title, body


def test_changing_one_field_encodes_only_the_space_that_reads_it(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(20)
    store, title, body = two_spaces(workspace, declare)
    title.encoded.clear()
    body.encoded.clear()
    execute(f"update {name} set body = 'new' where id = 1")
    execute(f"update {name} set body = null where id = 2")
    report = store.embed().latest
    assert (title.encoded, body.encoded) == ([], ["new"])
    assert report.encoded == 1
    rows = execute(f'select vector, present from embedding."{store.all()[0].table}" where k1 in (1, 2) order by k1')
    first, second = (np.array(eval(str(row[0]))) for row in rows)
    np.testing.assert_allclose(first, np.array([0, 1, 0, 0, 0, 0, 1, 0]) / np.sqrt(2), atol=1e-6)
    np.testing.assert_allclose(second, [0, 0, 1, 0, 0, 0, 0, 0], atol=1e-6)
    assert [row[1] for row in rows] == [3, 1]


def test_another_checkpoint_of_one_space_copies_the_other_from_live(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None]
) -> None:
    animals(20)
    store, title, body = two_spaces(workspace, declare)
    title.encoded.clear()
    body.encoded.clear()
    other = KeywordEncoder(["body", "new"], seed="other")
    store.use(title, other)
    run = store.embed()
    assert run.live and run.coming and (run.live.number, run.coming.number) == (1, 2)
    assert (title.encoded, body.encoded, len(other.encoded)) == ([], [], 20)


def test_live_and_the_generation_that_builds_both_end_true(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    animals(300)
    store, title, _ = two_spaces(workspace, declare)
    monkeypatch.setattr(run_module, "FRESH_EVERY", 0.0)
    monkeypatch.setattr(run_module.time, "monotonic", itertools.count(0, 1000).__next__)
    other = KeywordEncoder(["body", "new"], seed="other")
    store.use(title, other)
    title.encoded.clear()
    steps = itertools.count(1)

    def write(_: object) -> None:
        step = next(steps)
        execute(f"update {name} set title = 'owl at ' || %s where id in (%s, %s)", [str(step), step, 300 - step])
        execute(f"insert into {name} (id, title, body) values (%s, 'fish', 'body')", [1000 + step])
        execute(f"delete from {name} where id = 100 + %s", [step])

    other.during = write
    run = store.embed()
    other.during = None
    assert run.live and run.coming
    assert len(title.encoded) > 10, "live took up what changed while the other was built"
    pending = [store._counted(generation).pending for generation in (run.live, run.coming)]
    assert pending[0] <= 3 < pending[1], "live is behind by the last step only"
    store.catch_up(run.live)
    store.catch_up(run.coming)
    for generation in (run.live, run.coming):
        counted = store._counted(generation)
        assert (counted.source, counted.embedded) == (300, 300)
        assert (counted.pending, counted.orphans, counted.stale) == (0, 0, 0)
        rows = execute(f'select k1, vector::text from embedding."{generation.table}" order by k1')
        titles = dict(execute(f"select id, title from {name}"))
        for key, vector in rows:
            found = np.argmax(np.array(eval(str(vector)))[:5])
            assert next(i for i, word in enumerate(title.words) if word in str(titles[key])) == found


def test_vectors_are_taken_over_as_of_one_moment_while_another_run_changes_them(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The row is read, live moves on, its vectors are read, and the row becomes what it was."""
    animals(4)
    store, title, _ = two_spaces(workspace, declare)
    store.use(title, KeywordEncoder(["body", "new"], seed="other"))
    plain = Pages._old_rows
    moved = []

    def between(pages: Pages, numbers: Sequence[int]) -> list[tuple[object, ...]]:
        if not moved and pages.generation.number == 2:
            moved.append(True)
            execute(f"update {name} set title = 'fish' where id = 1")
            store.catch_up(store.live())
            execute(f"update {name} set title = 'dog 1' where id = 1")
        return plain(pages, numbers)

    monkeypatch.setattr(Pages, "_old_rows", between)
    coming = store.embed().coming
    assert moved and coming
    ((vector,),) = execute(f'select subvector(vector, 1, 5)::text from embedding."{coming.table}" where k1 = 1')
    assert np.argmax(np.array(eval(str(vector)))) == title.words.index("dog")


def test_two_syncs_at_once_encode_no_row_twice(store: FakeStore, encoder: KeywordEncoder) -> None:
    store.create(store.layout(), run_id=None)
    reports = []
    threads = [threading.Thread(target=lambda: reports.append(store.embed().latest)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(report.encoded for report in reports) == [0, 300]
    assert len(encoder.encoded) == 300


def test_two_first_runs_at_once_make_one_generation(store: FakeStore, encoder: KeywordEncoder) -> None:
    barrier = threading.Barrier(2)

    def run() -> None:
        barrier.wait(10)
        store.embed()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [g.number for g in store.all()] == [1]
    assert len(encoder.encoded) == 300
