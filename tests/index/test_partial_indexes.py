"""Partial indexes: declared on a live collection, built beside writers, killed, measured, dropped, rolled back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import materialize, measure
from test_index_builds import building, in_thread

from vector_assets.errors import DatabaseError
from vector_assets.index.recall import Found
from vector_assets.index.swap import roll_back, settle
from vector_assets.records import Vectors
from vector_assets.spec import Collection
from vector_assets.spec.partial import PartialIndex
from vector_assets.stores.partial_indexes import PartialIndexStore
from vector_assets.stores.partial_proposals import partial_proposals
from vector_assets.stores.status import collection_status
from vector_assets.stores.workspace import Workspace

T1, T2 = PartialIndex("topic", "t1"), PartialIndex("topic", "t2")
ROWS = 3000  # a thousand of each topic


@pytest.fixture
def collection(declare: Declare, animals: Callable[[int], None]) -> Collection:
    animals(ROWS)
    return declare(evaluation={"synthetic": 0}, index={"recall": 0.5}, filters=["topic"])


def with_partial(store: FakeStore, **values: list[str]) -> FakeStore:
    """The same collection, declared with partial indexes now."""
    declared = store.collection.model_dump(mode="python", exclude_unset=True)
    changed = Collection.model_validate(declared | {"index": {"recall": 0.5, "partial": values}})
    return FakeStore(store.workspace, changed, *store.chosen.values(), page=3000)


@pytest.fixture
def store(workspace: Workspace, collection: Collection) -> FakeStore:
    """A live collection without any."""
    store = FakeStore(workspace, collection, KeywordEncoder(), page=3000)
    materialize(store)
    return store


@pytest.fixture
def writer(workspace: Workspace) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection whose open transaction holds a concurrent build up."""
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        yield connection
        connection.rollback()


def partials(execute: Execute, table: str) -> dict[str, tuple[bool, str]]:
    """Names of a table's partial indexes: whether they may be used, and over which rows they are."""
    rows = execute(
        "select c.relname, i.indisvalid, pg_get_expr(i.indpred, i.indrelid) from pg_index i "
        "join pg_class c on c.oid = i.indexrelid where i.indrelid = %s::regclass and i.indpred is not null",
        (f"embedding.{table}",),
    )
    return {str(name): (bool(valid), str(where)) for name, valid, where in rows}


def test_declared_on_a_live_collection_it_is_built_and_nothing_is_encoded(store: FakeStore, execute: Execute) -> None:
    live, calls = store.live(), store.chosen["text"].calls
    changed = with_partial(store, topic=["t1"])
    measured, swapped = materialize(changed)
    assert (swapped.live.number, store.chosen["text"].calls) == (live.number, calls), "the generation stays"
    assert partials(execute, live.table) == {T1.name(live.table): (True, "(f_topic = 't1'::text)")}
    (record,) = measured.values["partial"]  # type: ignore[misc]
    assert record["used"] and record["rows"] == ROWS / 3 and record["recall"]["mean"] >= 0.5
    ((said,),) = execute("select prosrc from pg_proc where proname = %s", (f"{live.collection}_filtered",))
    assert T1.name(live.table) in str(said), "live searches know it at once"
    status = collection_status(store.workspace, changed.collection)
    assert [one["said"] for one in status.partial] == [record["said"]]

    measure(store)  # declared no longer
    assert partials(execute, live.table) == {}
    ((said,),) = execute("select prosrc from pg_proc where proname = %s", (f"{live.collection}_filtered",))
    assert T1.name(live.table) not in str(said)


def test_it_is_built_beside_writers_and_a_killed_build_is_done_again(
    store: FakeStore, workspace: Workspace, execute: Execute, writer: psycopg.Connection[tuple[object, ...]]
) -> None:
    live = store.live()
    changed = with_partial(store, topic=["t1", "t2"])
    writer.execute(f"update embedding.{live.table} set truncated = true where k1 = 1")  # type: ignore[arg-type]
    thread, errors = in_thread(lambda: changed.partial(live).build())
    pid = building(execute, live.table)
    execute(f"update embedding.{live.table} set f_topic = 't1' where k1 = 2")  # while it waits, others write
    execute("select pg_terminate_backend(%s)", (pid,))
    thread.join(60)
    (error,) = errors
    assert isinstance(error, DatabaseError) and "\n" not in str(error)
    assert {valid for valid, _ in partials(execute, live.table).values()} == {False}
    writer.commit()
    built = changed.partial(live).build()
    assert {name: valid for name, (valid, _) in partials(execute, live.table).items()} == {
        T1.name(live.table): True, T2.name(live.table): True
    }  # fmt: skip
    assert [one.rows for one in built] == [ROWS // 3 + 1, ROWS // 3 - 1], "with what was written in between"
    assert [one.seconds for one in changed.partial(live).build()] == [0, 0], "what is there is not built again"


def test_it_is_renewed_with_the_whole_index(store: FakeStore, execute: Execute, name: str) -> None:
    changed = with_partial(store, topic=["t1"])
    measure(changed)
    table = store.live().table
    ((before,),) = execute("select %s::regclass::oid::bigint", (f"embedding.{T1.name(table)}",))
    execute(f"update {name} set title = 'owl ' || id where id <= {int(ROWS * 0.6)}")
    changed.embed()
    measure(changed, maintenance=True)
    ((after,),) = execute("select %s::regclass::oid::bigint", (f"embedding.{T1.name(table)}",))
    assert after != before and set(partials(execute, table)) == {T1.name(table)}


def test_one_that_is_not_true_enough_is_built_larger_then_dropped_and_not_built_again(
    store: FakeStore, execute: Execute, monkeypatch: pytest.MonkeyPatch
) -> None:
    links: list[object] = []
    neighbours = PartialIndexStore.neighbours

    def poor(self: PartialIndexStore, index: PartialIndex, queries: Vectors, *, k: int, width: int | None) -> Found:
        found = neighbours(self, index, queries, k=k, width=width)
        links.extend(execute("select reloptions from pg_class where relname = %s", (index.name(table),))[0][0][:1])  # type: ignore[index]
        return found if width is None else replace(found, distances=[[9.0] for _ in found.distances])

    monkeypatch.setattr(PartialIndexStore, "neighbours", poor)
    live = store.live()
    table = live.table
    changed = with_partial(store, topic=["t1"])
    for _ in range(2):
        measured = measure(changed)
        (record,) = measured.values["partial"]  # type: ignore[misc]
        assert measured.sound and not record["used"]
        assert str(record["said"]).startswith("dropped, and not used: 1,000 vectors, recall@10 0.0000")
        assert partials(execute, table) == {}
        ((said,),) = execute("select prosrc from pg_proc where proname = %s", (f"{live.collection}_filtered",))
        assert T1.name(table) not in str(said)
        assert set(links) in ({"m=16", "m=32"}, set()), "more links are tried once"
        links.clear()
        execute(f"update {live.collection} set price = 0 where id = 1")
        changed.embed()


def test_rollback_brings_back_what_the_generation_had(store: FakeStore, execute: Execute) -> None:
    first = with_partial(store, topic=["t1"])
    measure(first)
    second = with_partial(store, topic=["t2"])
    second.use(KeywordEncoder(seed="other"))
    second.embed()
    measure(second)
    new = second.all()[0]
    second.swap(new, because="test")
    assert set(partials(execute, new.table)) == {T2.name(new.table)}
    target = second.workspace.generations.rollback_target(new.collection)
    roll_back(second, target, second.catch_up, because="test")
    old = second.live()
    assert old.number != new.number and set(partials(execute, old.table)) == {T1.name(old.table)}
    ((said,),) = execute("select prosrc from pg_proc where proname = %s", (f"{old.collection}_filtered",))
    assert T1.name(old.table) in str(said) and T2.name(new.table) not in str(said)
    measure(second)  # what is declared now follows
    settle(second, second.catch_up)
    assert set(partials(execute, old.table)) == {T2.name(old.table)}


def test_a_column_of_another_type_takes_its_indexes_along(store: FakeStore, execute: Execute, name: str) -> None:
    changed = with_partial(store, topic=["t1"])
    measure(changed)
    execute(f"drop view search.{name}_rows cascade")  # Postgres would refuse the change while a view shows the column
    execute(f"alter table {name} alter column topic type varchar(20)")
    fresh = with_partial(changed, topic=["t1"])
    fresh.embed()
    assert partials(execute, fresh.live().table) == {}, "gone with the column; searches do without"
    measured = measure(fresh, maintenance=True)
    (record,) = measured.values["partial"]  # type: ignore[misc]
    assert record["used"]
    ((valid, where),) = partials(execute, fresh.live().table).values()
    assert valid and "t1" in where


def test_values_that_the_column_cannot_have_are_said_and_the_rest_is_built(
    workspace: Workspace, collection: Collection, execute: Execute, name: str
) -> None:
    execute(f"create type {name}_mood as enum ('t0', 't1', 't2')")
    execute(f"alter table {name} alter column topic type {name}_mood using topic::{name}_mood")
    store = FakeStore(workspace, collection, KeywordEncoder(), page=3000)
    materialize(store)
    changed = with_partial(store, topic=["t9", "t1"])
    bad, good = measure(changed).values["partial"]  # type: ignore[misc]
    assert (bad["used"], good["used"]) == (False, True)
    assert str(bad["said"]).startswith("not built: invalid input value for enum") and "\n" not in str(bad["said"])


@pytest.mark.parametrize("precision", ["half", "binary"])
def test_halves_and_bits_have_them_too(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, precision: str
) -> None:
    animals(ROWS)
    collection = declare(
        evaluation={"synthetic": 0}, filters=["topic"],
        index={"recall": 0.5, "precision": precision, "partial": {"topic": ["t1"]}},
    )  # fmt: skip
    store = FakeStore(workspace, collection, KeywordEncoder(), page=3000)
    measured, _ = materialize(store)
    (record,) = measured.values["partial"]  # type: ignore[misc]
    assert record["used"], record["said"]
    assert list(partials(execute, store.live().table)) == [T1.name(store.live().table)]


def test_what_pays_is_proposed_from_the_statistics(store: FakeStore, execute: Execute) -> None:
    live = store.live()
    ask = store.workspace.database, store.collection, store.relation
    assert partial_proposals(*ask, live) == (), "of 3,000 rows none pays"
    execute(f"update pg_class set reltuples = 3000000 where oid = 'embedding.{live.table}'::regclass")
    execute("update ops.generations set ef_search = 100 where collection = %s", (live.collection,))
    live = store.live()
    found = {one.value: one for one in partial_proposals(*ask, live)}
    assert set(found) == {"t0", "t1", "t2"}
    assert found["t1"].vectors == pytest.approx(1_000_000, rel=0.01) and found["t1"].way == "index"
    assert found["t1"].looked_at == pytest.approx(3 * found["t1"].looked_at_then, abs=2)
    status = collection_status(store.workspace, with_partial(store, topic=["t1"]).collection)
    assert {one.value for one in status.partial_proposed} == {"t0", "t2"}, "what is declared is not proposed"
    assert collection_status(store.workspace, store.collection).partial_proposed[0].declare.startswith("partial: {")
