"""Raw rows: made equal to the source in one transaction, written only where they differ."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder, ListReader

from vector_assets.errors import NotFound, SourceError
from vector_assets.records import BadRow, RawRow
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace


def row(key: str | int, title: str | None = "cat", price: float | None = 1.0) -> RawRow:
    return RawRow((key,), (title, price))


@pytest.fixture
def collection(declare: Declare) -> Collection:
    return declare(
        source={"kind": "file", "path": "rows.jsonl"},
        fields={"title": "text", "price": "number"},
        spaces={"text": {"fields": ["title"]}},
    )


def stored(execute: Execute, name: str) -> dict[object, tuple[object, ...]]:
    return {r[0]: r[1:] for r in execute(f"select id, title, price, xmin::text from raw.{name} order by id")}


def test_rows_are_inserted_updated_and_deleted_where_they_differ(
    workspace: Workspace, collection: Collection, execute: Execute, name: str
) -> None:
    reader = ListReader([row("a"), row("b"), row("c", None, None), row("d")])
    first = workspace.raw.sync(collection, reader)
    assert (first.rows, first.inserted, first.updated, first.deleted, first.read) == (4, 4, 0, 0, True)
    before = stored(execute, name)
    assert {key: values[:2] for key, values in before.items()} == {
        "a": ("cat", 1.0), "b": ("cat", 1.0), "c": (None, None), "d": ("cat", 1.0)
    }  # fmt: skip

    reader = ListReader([row("a"), row("b", "dog"), row("c", None, None), row("e")], mark="2")
    second = workspace.raw.sync(collection, reader)
    assert (second.rows, second.inserted, second.updated, second.deleted) == (4, 1, 1, 1)
    after = stored(execute, name)
    assert {key: after[key] for key in "ac"} == {key: before[key] for key in "ac"}, "unchanged rows are not rewritten"
    assert after["b"][0] == "dog"
    assert set(after) == {"a", "b", "c", "e"}
    assert second.version != first.version

    third = workspace.raw.sync(collection, ListReader([row("d"), row("c", None, None), row("b"), row("a")], mark="3"))
    assert third.version == first.version, "the same content, whatever the order, is the same version"


def test_a_source_that_looks_the_same_is_not_read(workspace: Workspace, collection: Collection) -> None:
    reader = ListReader([row("a")])
    first = workspace.raw.sync(collection, reader)
    again = workspace.raw.sync(collection, reader)
    assert reader.reads == 1
    assert (again.read, again.rows, again.version) == (False, 1, first.version)


def test_bad_rows_are_set_aside_until_they_are_mended(
    workspace: Workspace, collection: Collection, execute: Execute, name: str
) -> None:
    bad = [BadRow("rows.jsonl:2", "not JSON", "{"), BadRow("rows.jsonl:3", "price: expected a number", "{}")]
    assert workspace.raw.sync(collection, ListReader([row("a"), *bad])).unreadable == 2
    assert [(f.stage, f.row_key, f.error, f.attempts) for f in workspace.failures.list(name)] == [
        ("raw", "rows.jsonl:2", "not JSON", 1),
        ("raw", "rows.jsonl:3", "price: expected a number", 1),
    ]
    assert workspace.raw.sync(collection, ListReader([row("a"), *bad])).unreadable == 2, "told again when not read"
    assert workspace.raw.sync(collection, ListReader([row("a"), row("b"), bad[1]], mark="2")).unreadable == 1
    assert [(f.row_key, f.attempts) for f in workspace.failures.list(name)] == [("rows.jsonl:3", 2)]
    workspace.raw.sync(collection, ListReader([row("a"), row("b"), row("c")], mark="3"))
    assert workspace.failures.list(name) == ()
    assert len(stored(execute, name)) == 3


def test_a_reading_that_fails_changes_nothing(
    workspace: Workspace, collection: Collection, execute: Execute, name: str
) -> None:
    first = workspace.raw.sync(collection, ListReader([row("a")]))
    before = stored(execute, name)

    class Broken(ListReader):
        def rows(self):  # type: ignore[no-untyped-def]
            yield row("b")
            raise SourceError("rows.jsonl:2: the row has no id")

    with pytest.raises(SourceError):
        workspace.raw.sync(collection, Broken([], mark="2"))
    assert stored(execute, name) == before
    assert workspace.raw.version(name) == first.version
    assert workspace.raw.fingerprint(name) != workspace.raw.fingerprint_of(collection, Broken([], mark="2"))


def test_an_id_that_stands_twice_is_refused(
    workspace: Workspace, collection: Collection, execute: Execute, name: str
) -> None:
    with pytest.raises(SourceError, match="id 'a' stands twice"):
        workspace.raw.sync(collection, ListReader([row("a"), row("a", "dog")]))
    assert execute("select to_regclass(%s)", (f"raw.{name}",)) == [(None,)]
    with pytest.raises(NotFound, match=f"collection {name} has no rows yet"):
        workspace.raw.relation(collection)


def test_an_id_of_a_good_and_of_a_bad_row_is_refused(workspace: Workspace, collection: Collection) -> None:
    bad = BadRow("[1]", "price: expected a number", "", key=("1",))
    with pytest.raises(SourceError, match="id '1' stands twice"):
        workspace.raw.sync(collection, ListReader([row("1"), bad]))


def test_an_added_field_is_added_to_the_table(
    workspace: Workspace, collection: Collection, declare: Declare, execute: Execute, name: str
) -> None:
    workspace.raw.sync(collection, ListReader([row("a")]))
    wider = declare(
        source={"kind": "file", "path": "rows.jsonl"},
        fields={"title": "text", "price": "number", "at": "datetime"},
        spaces={"text": {"fields": ["title"]}},
    )
    when = datetime(2024, 5, 1, tzinfo=UTC)
    reader = ListReader([RawRow(("a",), ("cat", 1.0, when))])
    assert workspace.raw.sync(wider, reader).updated == 1, "read again although the source looks the same"
    assert execute(f"select id, title, price, at from raw.{name}") == [("a", "cat", 1.0, when)]


def test_a_field_of_another_type_is_read_again(
    workspace: Workspace, collection: Collection, declare: Declare, execute: Execute, name: str
) -> None:
    workspace.raw.sync(collection, ListReader([row("a")]))
    other = declare(
        source={"kind": "file", "path": "rows.jsonl"},
        fields={"title": "text", "price": "text"},
        spaces={"text": {"fields": ["title"]}},
    )
    assert workspace.raw.sync(other, ListReader([RawRow(("a",), ("cat", "cheap"))])).updated == 1
    assert execute(f"select price from raw.{name}") == [("cheap",)]


def test_a_key_of_another_type_makes_the_table_anew(
    workspace: Workspace, collection: Collection, execute: Execute, name: str
) -> None:
    workspace.raw.sync(collection, ListReader([row("1"), row("2")]))
    reader = ListReader([row(1), row(2)], kind="bigint", mark="2")
    assert workspace.raw.sync(collection, reader).inserted == 2
    assert set(stored(execute, name)) == {1, 2}


def go_live(store: FakeStore) -> None:
    """Embeddings, candidate, index, as a run does."""
    from vector_assets.index.swap import settle
    from vector_assets.stores.measuring import measure_newest

    store.embed()
    measure_newest(store, maintenance=False, log=lambda _: None)
    settle(store, store.catch_up)


def test_a_live_collection_survives_every_change_of_its_fields(
    workspace: Workspace, collection: Collection, declare: Declare, name: str
) -> None:
    """A field of another type, one more, one less: after the next run the view has what is declared."""
    encoder = KeywordEncoder()
    source = {"kind": "file", "path": "rows.jsonl"}

    def run(fields: dict[str, str], rows: list[RawRow], mark: str, filters: list[str]) -> list[dict[str, object]]:
        changed = declare(source=source, fields=fields, spaces={"text": {"fields": ["title"]}}, filters=filters)
        workspace.raw.sync(changed, ListReader(rows, mark=mark))
        store = FakeStore(workspace, changed, encoder)
        go_live(store)
        engine = workspace.search(name)
        engine._load = store.reader_encoder  # type: ignore[assignment]
        hits = engine.search("cat", k=5).hits
        assert not any(hit.stale for hit in hits)
        return [dict(hit.row) for hit in hits]

    plain: dict[str, object] = {"id": "a", "title": "cat", "price": 1.0}
    assert run({"title": "text", "price": "number"}, [row("a")], "1", ["price"]) == [plain]
    texts = [RawRow(("a",), ("cat", "cheap"))]
    assert run({"title": "text", "price": "text"}, texts, "2", ["price"]) == [plain | {"price": "cheap"}]
    more = [RawRow(("a",), ("cat", "cheap", "new"))]
    fields = {"title": "text", "price": "text", "note": "text"}
    assert run(fields, more, "3", ["price"]) == [plain | {"price": "cheap", "note": "new"}]
    assert run({"title": "text"}, [RawRow(("a",), ("cat",))], "4", []) == [{"id": "a", "title": "cat"}]
    assert encoder.encoded == ["cat"]


def test_a_live_collection_survives_another_type_of_its_key(
    workspace: Workspace, collection: Collection, name: str
) -> None:
    store = FakeStore(workspace, collection, KeywordEncoder())
    workspace.raw.sync(collection, ListReader([row("1"), row("2", "dog")]))
    go_live(store)
    workspace.raw.sync(collection, ListReader([row(1), row(2, "dog")], kind="bigint", mark="2"))
    store = FakeStore(workspace, collection, KeywordEncoder())
    go_live(store)
    engine = workspace.search(name)
    engine._load = store.reader_encoder  # type: ignore[assignment]
    assert [(hit.id, hit.row["id"]) for hit in engine.search("cat", k=5).hits] == [("1", 1), ("2", 2)]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("", "table public.{name} does not exist; correct source.table"),
        ("create table {name} (id bigint, t text)", "table public.{name} has no primary key; add one"),
        ("create table {name} (id bigint primary key)", "table public.{name} has no column t (it has id)"),
    ],
)
def test_a_table_in_place_that_cannot_be_used(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, prepare: str, message: str
) -> None:
    if prepare:
        execute(prepare.format(name=name))
    with pytest.raises(SourceError) as caught:
        workspace.raw.relation(declare(fields={"t": "text"}, spaces={"text": {"fields": ["t"]}}))
    assert message.format(name=name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_watermark_that_is_no_time_is_refused(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, t text, version bigint)")
    source = {"kind": "postgres", "table": name, "capture": "watermark", "watermark": "version"}
    with pytest.raises(SourceError, match="watermark version is bigint; expected a date or timestamp"):
        workspace.raw.relation(declare(source=source, fields={"t": "text"}, spaces={"text": {"fields": ["t"]}}))


def test_a_table_in_place_is_observed_and_never_changed(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, t text, other text)")
    execute(f"insert into {name} select i, 'cat', 'x' from generate_series(1, 5) i")
    collection = declare(fields={"t": "text"}, spaces={"text": {"fields": ["t"]}})
    xmins = execute(f"select xmin::text from {name} order by id")
    first = workspace.raw.observe(collection)
    assert (first.rows, first.version) == (5, workspace.raw.look(collection))
    execute(f"update {name} set other = 'y' where id = 1")
    assert workspace.raw.look(collection) == first.version
    execute(f"update {name} set t = 'dog' where id = 1")
    assert workspace.raw.look(collection) != first.version
    execute(f"update {name} set t = 'cat' where id = 1")
    assert workspace.raw.look(collection) == first.version
    assert execute(f"select xmin::text from {name} where id > 1 order by id") == xmins[1:]
