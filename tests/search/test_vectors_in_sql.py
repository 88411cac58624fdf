"""``search.<collection>_vectors(…)`` as the reader role asks it."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from examples_at_hand import live
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from psycopg import sql

from vector_assets.errors import NotFound, NotLive, UserError
from vector_assets.stores.database import READER
from vector_assets.stores.reader import Reader
from vector_assets.stores.workspace import Workspace


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """40 animals, live: row i names animal i mod 4 of cat, dog, owl, fish."""
    animals(40)
    return live(FakeStore(workspace, declare(), KeywordEncoder()))


@pytest.fixture
def reader(store: FakeStore) -> Reader:
    return store.workspace.reader()


def test_it_raises_when_the_named_checkpoint_is_not_live(reader: Reader, store: FakeStore) -> None:
    query = sql.SQL("select * from {}(sample_size => 1, checkpoint => %s)").format(
        sql.Identifier("search", store.collection.name + "_vectors")
    )
    assert reader.ask(query, (store.live().checkpoint_set,)).fetchall()
    with pytest.raises(NotLive, match=r"checkpoint nothing is not live for collection"):
        reader.ask(query, ("nothing",))
    with pytest.raises(UserError, match="has 5 dimensions, found 2"):
        reader.ask(
            sql.SQL("select * from {}(q => '[1,0]', k => 2)").format(
                sql.Identifier("search", store.collection.name + "_vectors")
            ),
            (),
        )


def test_roles_places_and_vectors(reader: Reader, store: FakeStore) -> None:
    live = store.live()
    cat = store.chosen["text"].encode_queries(["cat"])[0]
    found = reader.vectors(live, ids=(("2",), ("999",), ("4",)), question=cat, near=3, sample=7)
    keys, near, sample = found["key"], found["near"], found["sample"]
    assert keys.ids == (("2",), ("4",)) and keys.places.tolist() == [0, 2], "what is no row has no line"
    assert np.allclose(keys.vectors, store.chosen["text"].encode_queries(["owl", "cat"]))
    assert np.allclose(keys.scores, [0, 1]) and np.allclose(near.scores, 1) and near.places.tolist() == [0, 1, 2]
    assert len(sample) == 7 == len(set(sample.ids)) and np.allclose(sample.scores, sample.vectors @ cat)


def test_the_sample_is_the_same_every_time_and_spread_over_the_table(reader: Reader, store: FakeStore) -> None:
    live = store.live()
    first = reader.vectors(live, sample=12)["sample"].ids
    assert first == reader.vectors(live, sample=12)["sample"].ids
    assert set(reader.vectors(live, sample=6)["sample"].ids) < set(first), "a smaller one is the beginning of it"
    rows = sorted(int(key) for (key,) in first)
    assert rows[0] < 14 and rows[-1] > 27 and {row % 4 for row in rows} == {0, 1, 2, 3}
    assert len(reader.vectors(live, sample=1000)["sample"]) == 40


def test_a_large_table_is_not_read_whole(store: FakeStore, execute: Execute, reader: Reader) -> None:
    live = store.live()
    table = sql.Identifier("embedding", live.table)
    columns = [
        str(row[0])
        for row in execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped "
            "order by attnum",
            (table.as_string(None),),
        )
    ]
    others = sql.SQL(", ").join(map(sql.Identifier, columns[1:]))
    execute(sql.SQL("insert into {0} select 1000 + i, {1} from generate_series(1, 20000) i, "
                    "(select * from {0} order by k1 limit 1) v").format(table, others))  # fmt: skip
    execute(sql.SQL("analyze {}").format(table))
    found = reader.vectors(live, sample=50)["sample"]
    assert len(found) == 50 and found.ids == reader.vectors(live, sample=50)["sample"].ids
    rows = sorted(int(key) for (key,) in found.ids)
    assert rows[0] < 6000 and rows[-1] > 15000, "from blocks all over the table"


def test_only_readers_may_call_it(execute: Execute, store: FakeStore) -> None:
    name = store.collection.name + "_vectors"
    granted = execute(
        "select has_function_privilege('vector_assets_reader', p.oid, 'execute'), p.prosecdef, "
        "coalesce(p.proacl::text, '') from pg_proc p where p.proname = %s", (name,)
    )  # fmt: skip
    assert [row[:2] for row in granted] == [(True, True)]
    assert "{=" not in str(granted[0][2]) and ",=" not in str(granted[0][2]), "not for everyone"
    shown = execute(
        sql.SQL("select vector_role, id, round(score::numeric, 3) from {}(row_keys => %s, q => '[1,0,0,0,0]')").format(
            sql.Identifier("search", name)
        ),
        (json.dumps([[4], ["2"]]),),
    )
    assert [tuple(map(str, row)) for row in shown] == [("key", "4", "1.000"), ("key", "2", "0.000")]


def test_a_role_gets_the_vectors_of_the_rows_that_it_may_see(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str
) -> None:
    animals(60)
    role = f"{name}_t1"
    execute(sql.SQL("create role {} login in role {}").format(sql.Identifier(role), sql.Identifier(READER)))
    try:
        execute(f"grant select on {name} to {role}")
        execute(f"alter table {name} enable row level security")
        execute(f"create policy own on {name} for select using ('{name}_' || topic = current_user)")
        store = live(FakeStore(workspace, declare(), KeywordEncoder()))
        reader = Reader(workspace.addresses.database.user(role), workspace.database.names, become=False)
        cat = store.chosen["text"].encode_queries(["cat"])[0]
        found = reader.vectors(store.live(), ids=(("1",), ("2",)), question=cat, near=50, sample=50)
        assert found["key"].ids == (("1",),)
        for part in (found["near"], found["sample"]):
            assert {int(key) % 3 for (key,) in part.ids} == {1} and len(part) == 20
        with pytest.raises(NotFound, match=r"--like 2: collection .* has no such row"):
            reader.row_ids(store.live(), ("2",), "--like")
        reader.close()
    finally:
        execute(sql.SQL("drop owned by {0}").format(sql.Identifier(role)))
        execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
