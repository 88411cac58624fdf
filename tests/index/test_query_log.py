"""Questions that people ask: noted where it is declared, so many of them, and never in the way of a search."""

from __future__ import annotations

from typing import cast

import psycopg
import pytest
from fakes import Declare, Execute, FakeStore
from stages import materialize, measure

from vector_assets.collection_client import CollectionClient
from vector_assets.spec import Collection
from vector_assets.stores.query_log import QueryLog


def test_questions_are_kept_only_where_it_is_declared_and_only_so_many(
    store: FakeStore, declare: Declare, execute: Execute, name: str
) -> None:
    materialize(store)
    reader = store.workspace.reader()
    held = "select count(*) from ops.queries where collection = %s"
    reader.record(name, "what nobody is to keep")
    assert execute(held, (name,)) == [(0,)]
    store.collection = declare(evaluation={"shadow": 20})
    measure(store)
    for number in range(300):
        reader.record(name, f"question {number} " + "x" * 2000)
    (count,) = cast(tuple[int], execute(held, (name,))[0])
    assert 20 <= count < 150
    assert execute("select max(length(question)) from ops.queries where collection = %s", (name,)) == [(1000,)]
    measure(store)
    assert execute(held, (name,)) == [(20,)]
    store.collection = declare()
    measure(store)
    assert (
        execute(held, (name,)) == [(0,)]
        and execute("select 1 from ops.query_logs where collection = %s", (name,)) == []
    )
    reader.record(name, "what nobody is to keep")
    reader.close()
    assert execute(held, (name,)) == [(0,)]


def test_a_reader_can_neither_read_the_questions_nor_write_by_other_ways(store: FakeStore, name: str) -> None:
    reader = store.workspace.reader()
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader._execute("select question from {ops}.queries", ())
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader._execute("insert into {ops}.query_logs values (%s, 9)", (name,))
    reader.close()


def test_a_search_goes_on_where_no_note_can_be_taken(
    store: FakeStore, declare: Declare, execute: Execute, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    materialize(store)
    store.collection = declare(evaluation={"shadow": 20})
    measure(store)
    reader = store.workspace.reader()
    execute("revoke execute on function search._record_query(text, text) from vector_assets_reader")
    try:
        reader.record(name, "cat")
    finally:
        execute("grant execute on function search._record_query(text, text) to vector_assets_reader")
    assert "the question was not noted: permission denied" in caplog.text
    reader.record(name, "cat")
    reader.close()
    assert QueryLog(store.workspace.database).recent(name, 9) == ["cat"]


@pytest.mark.parametrize("declared", [True, False])
def test_the_python_search_notes_questions_where_it_is_declared(
    store: FakeStore, declare: Declare, name: str, declared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection: Collection = declare(evaluation={"shadow": 20}) if declared else declare()
    store.collection = declare(evaluation={"shadow": 20})
    materialize(store)
    client = CollectionClient(store.workspace, collection)
    monkeypatch.setattr("vector_assets.stores.workspace.checked_encoder", store.reader_encoder)
    assert len(client.search("an owl", k=3).hits) == 3
    assert QueryLog(store.workspace.database).recent(name, 9) == (["an owl"] if declared else [])
