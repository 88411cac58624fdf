"""What readers see of live: the SQL function, an engine that follows swaps, never a mixture."""

from __future__ import annotations

import threading
import time

import numpy as np
import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import materialize, search

from vector_assets.errors import DatabaseError, NotLive, SourceError
from vector_assets.index.swap import promote, settle
from vector_assets.search.engine import SearchEngine
from vector_assets.stores.workspace import Workspace


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
    assert len(execute(call, (query, store.live().checkpoint_set))) == 3, "the set of all parts names it as well"
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
    ends = time.monotonic() + 60
    swaps = 0
    while (swaps < 12 or len({generation for generation, _, _ in seen}) < 2) and time.monotonic() < ends:
        store.swap(both[swaps % 2], because="test")
        swaps += 1
        time.sleep(0.02)
    stop.set()
    for thread in threads:
        thread.join(20)
    assert not failed, failed
    assert swaps >= 12
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


def test_a_source_that_lost_a_column_of_live_is_one_line(store: FakeStore, execute: Execute, name: str) -> None:
    materialize(store)
    execute(f"alter table {name} drop column body cascade")
    with pytest.raises(
        SourceError, match=rf'generation 1 \(live\) reads body, which "public"."{name}" has no more; give it back'
    ):
        store.embed()
    execute(f"alter table {name} add column body text")
    materialize(store)
    assert search(store, "cat").hits, "the view that went with the column is made anew"


def test_the_view_shows_rows_that_have_no_vector_yet(store: FakeStore, execute: Execute, name: str) -> None:
    materialize(store)
    execute(f"insert into {name} (id, title) values (900, 'cat')")
    execute(f"update {name} set title = 'changed' where id = 1")
    execute(f"update {name} set price = 7 where id = 2")
    shown = (
        f"select id, stale, embedded_at is null, generation from search.{name}_rows where id in (1, 2, 900) order by 1"
    )
    assert execute(shown) == [(1, True, False, 1), (2, False, False, 1), (900, True, True, 1)]


def test_the_view_follows_the_declared_fields(store: FakeStore, declare: Declare, execute: Execute, name: str) -> None:
    materialize(store)
    fields = {"title": "text", "body": "text", "topic": "category", "note": "text"}
    store.collection = declare(fields=fields)
    again = FakeStore(store.workspace, store.collection, store.chosen["text"])
    settle(again, again.catch_up)
    assert execute(f"select id, note from search.{name}_rows where id = 1") == [(1, "n")]


def test_a_source_in_another_table_may_have_a_key_of_another_type(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    """The view of the rows holds the type of before. Another's view on it is not dropped; the run says what to do."""
    execute(f"create table {name} (id bigint primary key, title text)")
    execute(f"create table {name}_moved (id text primary key, title text)")
    execute(f"insert into {name} values (1, 'cat'), (2, 'dog')")
    execute(f"insert into {name}_moved values ('1', 'cat'), ('b', 'dog')")
    shape: dict[str, object] = {"fields": {"title": "text"}, "spaces": {"text": {"fields": ["title"]}}}
    store = FakeStore(workspace, declare(**shape), KeywordEncoder())
    materialize(store)
    execute(f"create view {name}_theirs as select id from search.{name}_rows")
    source = {"kind": "postgres", "table": f"{name}_moved"}
    moved = FakeStore(workspace, declare(**shape, source=source), KeywordEncoder())
    with pytest.raises(DatabaseError, match=rf"(?s)another type now.*view {name}_theirs depends on.*drop that first"):
        moved.embed()
    execute(f"drop view {name}_theirs")
    materialize(moved)
    moved.show(moved.live())
    assert execute(f"select id, stale from search.{name}_rows order by id") == [("1", False), ("b", False)]
    assert {hit.id for hit in search(moved, "cat").hits} == {"1", "b"}


@pytest.mark.parametrize("declared", [("title",), ("part", "title")])  # the view's columns change, and do not
def test_a_reader_that_stays_open_follows_another_key_and_another_column(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, declared: tuple[str, ...]
) -> None:
    """Its query is prepared with the key of before; what is asked after the change is asked by the key of now."""
    execute(f"create table {name} (id bigint primary key, part integer not null default 1, title text, more text)")
    execute(f"insert into {name} (id, title) values (1, 'cat'), (2, 'dog')")
    kinds = {"title": "text", "part": "number", "more": "text"}
    fields: dict[str, object] = {field: kinds[field] for field in declared}
    spaces = {"text": {"fields": ["title"]}}
    store = FakeStore(workspace, declare(fields=fields, spaces=spaces), KeywordEncoder())
    materialize(store)
    reader, cat = workspace.reader(), np.array([1, 0, 0, 0, 0], np.float32)
    for _ in range(7):  # often enough for a generic plan
        assert [hit.id for hit in reader.search(store.live(), cat, k=5, exact=False)] == ["1", "2"]
    execute(f"drop view search.{name}_rows")  # Postgres refuses to change the key beneath it
    execute(f"alter table {name} drop constraint {name}_pkey, add primary key (id, part)")
    execute(f"insert into {name} (id, part, title) values (1, 2, 'cat'), (1, 3, 'dog')")
    again = FakeStore(workspace, declare(fields=fields, spaces=spaces), KeywordEncoder())
    materialize(again)
    again.show(again.live())
    hits = reader.search(again.live(), cat, k=5, exact=False)
    assert [hit.key for hit in hits] == ["[1,1]", "[1,2]", "[1,3]", "[2,1]"]
    wider = FakeStore(workspace, declare(fields=fields | {"more": "text"}, spaces=spaces), KeywordEncoder())
    wider.show(wider.live())
    assert reader.search(wider.live(), cat, k=1, exact=False)[0].row["more"] is None
    reader.close()
