"""Rows that left the source and that no sync has taken away yet: they are no hits, and cost none."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from examples_at_hand import engine_of
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.index.swap import settle
from vector_assets.search.ask import Ask, Method
from vector_assets.search.filters import Filter
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace

TREE: Filter = {"field": "price", "op": ">", "value": 0}
CHUNKS = {"text": {"fields": ["title", "body"], "chunk": {"by": "paragraph"}}}


def made(workspace: Workspace, declare: Declare, **changes: object) -> FakeStore:
    """Live, with an index of words."""
    store = FakeStore(workspace, declare(lexical=["title", "body"], filters=["price"], **changes), KeywordEncoder())
    workspace.raw.observe(store.collection)
    store.embed()
    assert measure_newest(store, maintenance=False, log=lambda _: None).sound
    settle(store, store.catch_up)
    return store


@pytest.mark.parametrize("spaces", [None, CHUNKS], ids=["rows", "chunks"])
def test_as_many_hits_as_there_are_rows(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str, spaces: object
) -> None:
    animals(60)
    store = made(workspace, declare, **({"spaces": spaces} if spaces else {}))
    engine = engine_of(store)
    nearest = [hit.id for hit in engine.search("body and cat", k=5, method="exact").hits]
    cases: list[tuple[Method, Filter | None]] = [
        ("vector", None), ("exact", None), ("vector", TREE), ("exact", TREE), ("hybrid", None), ("bm25", None),
        ("svm", None), ("svm", TREE),
    ]  # fmt: skip
    for rows, k in ((f"id in ({','.join(nearest)})", 10), ("id <= 45", 10), ("id <= 45", 15), ("id <= 45", 40)):
        execute(f"delete from {name} where {rows}")
        left = {str(row[0]) for row in execute(f"select id from {name}")}
        for method, tree in cases:
            hits = engine.answer(Ask("body and cat", k=k, method=method, filter=tree)).hits
            ids = [hit.id for hit in hits]
            assert len(ids) == len(set(ids)) == min(k, len(left)), (method, tree, rows)
            assert set(ids) <= left
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    execute(f"delete from {name}")
    for method, tree in cases:
        assert engine.answer(Ask("body and cat", method=method, filter=tree)).hits == ()


def test_nothing_more_is_asked_where_no_row_is_gone(
    workspace: Workspace, declare: Declare, execute: Execute, animals: Callable[[int], None], name: str
) -> None:
    animals(60)
    store = made(workspace, declare)
    reader = workspace.reader()
    asked: list[object] = []
    before = reader.ask

    def counting(query: object, values: tuple[object, ...], **how: bool) -> object:
        asked.append(values[1])
        return before(query, values, **how)  # type: ignore[arg-type]

    reader.ask = counting  # type: ignore[method-assign, assignment]
    cat = store.chosen["text"].encode_queries(["cat"])[0]
    for k in (10, 60, 100):
        assert len(reader.search(store.live(), cat, k=k, exact=False)) == min(k, 60)
    assert asked == [10, 60, 100]
    execute(f"delete from {name} where id % 4 = 0 and id <= 40")
    asked.clear()
    assert len(reader.search(store.live(), cat, k=15, exact=True)) == 15
    assert asked == [15, 25], "ten are gone of the fifteen cats"
    reader.close()
