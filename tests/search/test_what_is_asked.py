"""What is asked is checked: vectors without a direction, numbers of hits, keys of any name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from examples_at_hand import engine_of, live
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from psycopg import errors, sql

from vector_assets.errors import UserError
from vector_assets.index.swap import settle
from vector_assets.search.ask import MOST, Ask, Method
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace

CHUNKS = {"text": {"fields": ["title", "body"], "chunk": {"by": "paragraph"}}}


def measured(store: FakeStore) -> FakeStore:
    """Live, with an index of words."""
    store.workspace.raw.observe(store.collection)
    store.embed()
    measure_newest(store, maintenance=False, log=lambda _: None)
    settle(store, store.catch_up)
    return store


@pytest.mark.parametrize("changes", [{}, {"index": {"precision": "half"}}, {"spaces": CHUNKS}], ids=str)
def test_a_vector_without_a_direction_is_refused(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str,
    changes: dict[str, object],
) -> None:  # fmt: skip
    animals(12)
    measured(FakeStore(workspace, declare(lexical=["title"], **changes), KeywordEncoder()))
    everything = '{{"and": []}}'  # formatted below
    calls = [
        "search.{name}({q}, 3)",
        "search.{name}({q}, 3, exact => true)",
        f"search.{{name}}({{q}}, 3, filter => '{everything}')",
        f"search.{{name}}_filtered({{q}}, 3, false, '{everything}')",
        "search.{name}_hybrid({q}, 'cat', 3)",
        "search.{name}_vectors(q => {q}, k => 3)",
    ]
    for call in calls:
        for q, said in (
            ("null", "has 5 dimensions, found null"),
            ("'[0,0,0,0,0]'", "is compared by its direction, and this one has none: its length is 0"),
            ("'[1e-30,0,0,0,0]'", "is compared by its direction, and this one has none"),
            ("'[1e30,1e30,0,0,0]'", "is compared by its direction|out of range for type halfvec"),
            ("'[1,0]'", "has 5 dimensions, found 2"),
        ):
            with pytest.raises(errors.DataError, match=said):
                execute("select * from " + call.format(name=name, q=q))
        assert len(execute("select * from " + call.format(name=name, q="'[3,0,0,0,0]'"))) == 3
    with pytest.raises(errors.DataError, match="has none: its length is 0"):
        execute(f"select * from search.{name}_vectors(row_keys => '[[4]]', q => '[0,0,0,0,0]')")
    assert execute(f"select distinct id from search.{name}_vectors(row_keys => '[[4]]')") == [(4,)], (
        "without a question"
    )


@pytest.mark.parametrize("spaces", [None, CHUNKS], ids=["rows", "chunks"])
def test_no_number_of_hits_in_sql_is_an_error(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str, spaces: object
) -> None:
    animals(12)
    changes = {"spaces": spaces} if spaces else {}
    measured(FakeStore(workspace, declare(lexical=["title"], **changes), KeywordEncoder()))
    q, tree = "'[1,0,0,0,0]'", "'{\"and\": []}'"
    for k, rows in (("0", 0), ("-1", 0), ("-2147483648", 0), ("null", 12), ("2147483647", 12), ("5", 5)):
        for call in (
            f"search.{name}({q}, {k})",
            f"search.{name}({q}, {k}, exact => true)",
            f"search.{name}({q}, {k}, exact => null)",
            f"search.{name}({q}, {k}, filter => {tree})",
            f"search.{name}_filtered({q}, {k}, false, {tree})",
            f"search.{name}_hybrid({q}, 'cat', {k})",
        ):
            assert execute(f"select count(*) from {call}") == [(rows,)], call
        words = execute(f"select count(*) from search.{name}_bm25('cat', {k})")
        assert words == [(min(rows, 3),)]


@pytest.mark.parametrize("k", [0, -1, MOST + 1, 2**31, 2.5, None])
@pytest.mark.parametrize("method", ["vector", "svm", "hybrid"])
def test_a_number_of_hits_that_cannot_be_is_refused_in_a_line(k: int, method: Method) -> None:
    with pytest.raises(UserError, match=rf"^k {k}: expected how many hits are wanted, from 1 to 1000000$"):
        Ask("a cat", k=k, method=method, diverse=0.5)


def test_numbers_of_hits_that_can_be(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> None:
    animals(8)
    engine = engine_of(live(FakeStore(workspace, declare(), KeywordEncoder())))
    for method in ("vector", "exact", "svm"):
        for diverse in (0, 0.5):
            asked = Ask("a cat", k=MOST, method=method, like=("1",), diverse=diverse)  # type: ignore[arg-type]
            assert len(engine.answer(asked).hits) == 7
            assert len(engine.answer(Ask("a cat", k=np.int64(3), method=method)).hits) == 3  # type: ignore[arg-type]


#: What the functions call things inside, and what Postgres makes of a key.
INNER = [
    "k2", "k1", "place", "_place", "places", "_fused", "fused", "_vector", "vector", "_bm25", "depth", "by_places",
    "_by_places", "draw", "share", "entries", "given", "found", "seen", "wanted", "docs", "sums", "distance", "value",
    "n", "v", "b", "f", "m", "r",
]  # fmt: skip


@pytest.mark.parametrize("chunks", [False, True], ids=["rows", "chunks"])
def test_columns_of_the_key_may_be_called_as_anything_inside(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, chunks: bool
) -> None:
    columns = [sql.SQL("{} integer").format(sql.Identifier(column)) for column in INNER]
    table, key = sql.Identifier(name), sql.SQL(", ").join(map(sql.Identifier, INNER))
    execute(
        sql.SQL("create table {} ({}, title text, primary key ({}))").format(table, sql.SQL(", ").join(columns), key)
    )
    numbers = sql.SQL(", ").join(sql.SQL("i + {}").format(sql.Literal(place)) for place in range(len(INNER)))
    execute(
        sql.SQL(
            "insert into {} select {}, (array['cat','dog','owl','fish'])[1 + i % 4] from generate_series(1, 20) i"
        ).format(table, numbers)
    )
    cut = {"chunk": {"by": "paragraph"}} if chunks else {}
    collection = declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"], **cut}}, lexical=["title"])
    engine = engine_of(measured(FakeStore(workspace, collection, KeywordEncoder())))
    for method in ("vector", "exact", "bm25", "hybrid", "svm"):
        hits = engine.answer(Ask("cat", k=5, method=method)).hits  # type: ignore[arg-type]
        assert {hit.row["title"] for hit in hits} == {"cat"}, method
        assert sorted(int(str(hit.row["k2"])) for hit in hits) == [4, 8, 12, 16, 20]
        assert all(hit.row["r"] == int(str(hit.row["k2"])) + len(INNER) - 1 for hit in hits)
    liked = engine.answer(Ask(like=(hits[0].id,), k=4, diverse=0.1, filter={"field": "place", "op": ">", "value": 0}))
    assert {hit.row["title"] for hit in liked.hits} == {"cat"}
    found = execute(
        sql.SQL("select vector_role, place, vector_place from {}(q => '[1,0,0,0,0]', k => 3, sample_size => 2)").format(
            sql.Identifier("search", name + "_vectors")
        )
    )
    assert [(row[0], row[2]) for row in found] == [("near", 1), ("near", 2), ("near", 3), ("sample", 1), ("sample", 2)]
