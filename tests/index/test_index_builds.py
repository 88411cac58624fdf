"""Builds beside readers and writers, killed ones, worn indexes, progress while one runs, a graph with more links."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import materialize, measure

from vector_assets.errors import DatabaseError
from vector_assets.index.recall import Found
from vector_assets.records import Generation, Vectors
from vector_assets.stores import index_progress
from vector_assets.stores.index_health import MAX_CHANGED, Health
from vector_assets.stores.index_progress import progress_line
from vector_assets.stores.indexes import IndexStore
from vector_assets.stores.workspace import Workspace

ROWS = 300


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """A live collection with an index."""
    animals(ROWS)
    store = FakeStore(
        workspace, declare(evaluation={"synthetic": 0}, index={"recall": 0.5}), KeywordEncoder(), page=500
    )
    materialize(store)
    return store


def indexes(execute: Execute, table: str) -> dict[str, bool]:
    """Names of a table's vector indexes, and whether they may be used."""
    rows = execute(
        "select c.relname, i.indisvalid from pg_index i join pg_class c on c.oid = i.indexrelid "
        "join pg_am a on a.oid = c.relam where i.indrelid = %s::regclass and a.amname <> 'btree'",
        (f"embedding.{table}",),
    )
    return {str(name): bool(valid) for name, valid in rows}


@pytest.fixture
def writer(workspace: Workspace) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection whose open transaction holds a concurrent build up."""
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        yield connection
        connection.rollback()


def building(execute: Execute, name: str) -> int:
    """Wait until a backend builds an index of a table and waits; return its process."""
    for _ in range(600):
        found = execute(
            "select p.pid from pg_stat_progress_create_index p join pg_stat_activity a using (pid) "
            "where p.relid = to_regclass(%s) and a.wait_event_type = 'Lock'", (f"embedding.{name}",),
        )  # fmt: skip
        if found:
            return int(str(found[0][0]))
        time.sleep(0.05)
    raise AssertionError("no build began")


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[Exception]]:
    errors: list[Exception] = []

    def run() -> None:
        try:
            action()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread, errors


def test_a_live_index_is_renewed_beside_readers_and_writers(
    store: FakeStore, workspace: Workspace, execute: Execute, writer: psycopg.Connection[tuple[object, ...]], name: str
) -> None:
    live = store.live()
    ((before,),) = execute("select %s::regclass::oid::bigint", (f"embedding.{live.table}_hnsw",))
    writer.execute(f"update embedding.{live.table} set truncated = true where k1 = 1")  # type: ignore[arg-type]
    thread, errors = in_thread(lambda: workspace.indexes.rebuild(live))
    building(execute, live.table)
    # While it waits for the writer above, others write and read.
    execute(f"update embedding.{live.table} set truncated = true where k1 = 2")
    question = KeywordEncoder().encode_queries(["cat"])[0]
    assert len(workspace.reader().search(live, question, k=10, exact=False)) == 10
    assert indexes(execute, live.table) == {f"{live.table}_hnsw": True, f"{live.table}_hnsw_new": False}
    writer.commit()
    thread.join(60)
    assert not errors and not thread.is_alive()
    assert indexes(execute, live.table) == {f"{live.table}_hnsw": True}, "in the place of the old one, by its name"
    ((after,),) = execute("select %s::regclass::oid::bigint", (f"embedding.{live.table}_hnsw",))
    assert after != before
    assert len(workspace.reader().search(live, question, k=10, exact=False)) == 10


def test_a_killed_build_is_cleaned_up_and_done_again(
    store: FakeStore, workspace: Workspace, execute: Execute, writer: psycopg.Connection[tuple[object, ...]]
) -> None:
    live = store.live()
    writer.execute(f"update embedding.{live.table} set truncated = true where k1 = 1")  # type: ignore[arg-type]
    thread, errors = in_thread(lambda: workspace.indexes.rebuild(live))
    execute("select pg_terminate_backend(%s)", (building(execute, live.table),))
    thread.join(60)
    (error,) = errors
    assert isinstance(error, DatabaseError) and "\n" not in str(error)
    assert f"the index of {live.collection}, generation 1, was not built" in str(error)
    writer.commit()
    assert indexes(execute, live.table) == {f"{live.table}_hnsw": True, f"{live.table}_hnsw_new": False}
    assert workspace.indexes.build(live).seconds == 0, "what is in use was not touched"
    assert indexes(execute, live.table) == {f"{live.table}_hnsw": True}, "what the killed build left is gone"


def test_an_index_that_only_waits_for_its_name_is_given_it(
    store: FakeStore, workspace: Workspace, execute: Execute
) -> None:
    live = store.live()
    execute(f"alter index embedding.{live.table}_hnsw rename to {live.table}_hnsw_new")
    assert workspace.indexes.build(live).seconds == 0
    assert indexes(execute, live.table) == {f"{live.table}_hnsw": True}


def test_a_lost_index_of_live_is_built_beside_readers(
    store: FakeStore, workspace: Workspace, execute: Execute, writer: psycopg.Connection[tuple[object, ...]]
) -> None:
    live = store.live()
    execute(f"drop index embedding.{live.table}_hnsw")
    writer.execute(f"update embedding.{live.table} set truncated = true where k1 = 1")  # type: ignore[arg-type]
    thread, errors = in_thread(lambda: workspace.indexes.build(live))
    building(execute, live.table)
    execute(f"update embedding.{live.table} set truncated = true where k1 = 2")
    writer.commit()
    thread.join(60)
    assert not errors and indexes(execute, live.table) == {f"{live.table}_hnsw": True}


def test_two_builds_of_one_index_are_done_in_turn(store: FakeStore, workspace: Workspace, execute: Execute) -> None:
    live = store.live()
    runs = [in_thread(lambda: workspace.indexes.rebuild(live)) for _ in range(2)]
    for thread, errors in runs:
        thread.join(60)
        assert not errors
    assert indexes(execute, live.table) == {f"{live.table}_hnsw": True}


def test_progress_is_told_while_a_build_waits(
    store: FakeStore, workspace: Workspace, execute: Execute, writer: psycopg.Connection[tuple[object, ...]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(index_progress, "EVERY", 0.05)
    live, said = store.live(), []  # type: ignore[var-annotated]
    writer.execute(f"update embedding.{live.table} set truncated = true where k1 = 1")  # type: ignore[arg-type]
    thread, errors = in_thread(lambda: workspace.indexes.rebuild(live, log=said.append))
    building(execute, live.table)
    for _ in range(200):
        if said:
            break
        time.sleep(0.05)
    writer.commit()
    thread.join(60)
    assert not errors and said[0].startswith("index: waiting for writers before build, for 1 older transactions to end")


def test_a_line_of_progress_has_its_share_and_the_time_left() -> None:
    began: dict[str, tuple[float, float]] = {}
    loading = "building index: loading tuples"
    assert progress_line((loading, 10, 100, 0, 0, 0), began, 0.0) == "index: loading tuples, 10%"
    assert progress_line((loading, 30, 100, 0, 0, 0), began, 8.0) == "index: loading tuples, 30%, about 28 s left"
    assert progress_line((loading, 0, 0, 50, 100, 0), {}, 8.0) == "index: loading tuples, 50%"
    assert progress_line(("initializing", 0, 0, 0, 0, None), {}, 1.0) == "index: initializing"


def test_a_worn_index_is_built_anew_by_maintenance_only(
    store: FakeStore, workspace: Workspace, execute: Execute, name: str
) -> None:
    live = store.live()
    assert workspace.indexes.health(live).worn is None
    execute(f"update {name} set title = 'owl ' || id where id <= {int(ROWS * 0.6)}")
    store.embed()
    measured = measure(store)
    worn = workspace.indexes.health(live).worn
    assert worn is not None and "of its rows were changed since it was built (bound 25%)" in worn
    assert measured.values["index_words"]["worn"] == worn  # type: ignore[index]
    ((before,),) = execute("select %s::regclass::oid::bigint", (f"embedding.{live.table}_hnsw",))
    measure(store, maintenance=True)
    assert workspace.indexes.health(live).worn is None
    ((after,),) = execute("select %s::regclass::oid::bigint", (f"embedding.{live.table}_hnsw",))
    assert after != before


def test_what_wears_an_index() -> None:
    assert Health(0.0, 1, 0.0, 1.0).worn is None
    assert Health(0.0, 1, MAX_CHANGED, 1.5).worn is None
    assert "26% of its rows" in str(Health(0.0, 1, 0.26, 1.0).worn)
    assert "11% of its tuples are dead" in str(Health(0.11, 1, 0.2, 1.0).worn)
    assert "1.6 times" in str(Health(0.0, 1, 0.0, 1.6).worn)
    assert Health(0.5, 0).worn is None, "there is no index, or nobody knows what it was"


def test_where_no_width_is_enough_the_graph_gets_more_links_once(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    animals(100)
    collection = declare(evaluation={"synthetic": 0}, index={"recall": 0.9, "worst_recall": 0.5})
    store = FakeStore(workspace, collection, KeywordEncoder())
    store.embed()
    generation, asked = store.all()[0], workspace.indexes
    links: list[int] = []
    neighbours = IndexStore.neighbours

    def poor(
        self: IndexStore, generation: Generation, relation: object, queries: Vectors, *, k: int, ef_search: int | None
    ) -> Found:
        """Finds nothing for one question until the graph has 32 links."""
        found = neighbours(self, generation, relation, queries, k=k, ef_search=ef_search)  # type: ignore[arg-type]
        ((options,),) = execute("select reloptions from pg_class where relname = %s", (f"{generation.table}_hnsw",))
        links.append(int(str(options[0]).split("=")[1]))  # type: ignore[index]
        if ef_search is None or links[-1] >= enough:
            return found
        return replace(found, distances=[[9.0], *found.distances[1:]])

    monkeypatch.setattr(IndexStore, "neighbours", poor)
    enough = 64
    measured = measure(store)
    failed = [check.summary for check in measured.checks if not check.passed]
    assert len(failed) == 1 and "no search of this index is wide enough: declare less" in failed[0]
    assert set(links) == {16, 32}
    links.clear()
    enough = 32
    assert measure(store).sound and set(links) == {32}, "as large as it is it stays"
    assert dict(asked.rebuild(generation).options) == {"m": 32, "ef_construction": 128}, "when it is built anew as well"
