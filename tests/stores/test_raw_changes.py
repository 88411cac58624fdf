"""A source with a cursor: only what changed is read, nothing is missed, and only rows that differ are written."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.errors import SourceError
from vector_assets.source.sql import SqlReader
from vector_assets.spec import Collection, SqlSource
from vector_assets.stores.raw_write import RawSync
from vector_assets.stores.retry import retry_failures
from vector_assets.stores.urls import DatabaseUrl
from vector_assets.stores.workspace import Workspace


@dataclass
class Shop:
    """A table of another database, copied to raw."""

    workspace: Workspace
    url: DatabaseUrl
    declare: Declare
    execute: Execute
    name: str
    read: list[int]

    def collection(self, **source: object) -> Collection:
        declared = {"kind": "sql", "url": "{{ env.SHOP_URL }}", "table": "goods", "cursor": "at", **source}
        return self.declare(
            source={key: value for key, value in declared.items() if value is not None},
            fields={"title": "text", "price": "number"},
            spaces={"text": {"fields": ["title"]}},
        )

    def sync(self, **source: object) -> RawSync:
        collection = self.collection(**source)
        assert isinstance(collection.source, SqlSource)
        reader = SqlReader(collection, collection.source)
        counted, self.read = reader._read, []

        def read(condition: object):  # type: ignore[no-untyped-def]
            for row in counted(condition):  # type: ignore[arg-type]
                self.read.append(row.key[0])  # type: ignore[index,arg-type]
                yield row

        reader._read = read  # type: ignore[method-assign,assignment]
        return self.workspace.raw.sync(collection, reader)

    def run(self, *statements: str) -> None:
        with psycopg.connect(self.url.libpq, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    def stored(self) -> dict[object, tuple[object, ...]]:
        rows = self.execute(f"select id, title, price, xmin::text from raw.{self.name} order by id")
        return {row[0]: row[1:] for row in rows}


@pytest.fixture
def shop(
    workspace: Workspace,
    fresh_database: DatabaseUrl,
    declare: Declare,
    execute: Execute,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Shop:
    monkeypatch.setenv("SHOP_URL", fresh_database.libpq)
    shop = Shop(workspace, fresh_database, declare, execute, name, [])
    shop.run(
        "create table goods (id bigint primary key, title text, price numeric, at timestamptz)",
        "insert into goods select i, 'cat ' || i, i, '2026-01-01'::timestamptz + i * interval '1 hour' "
        "from generate_series(1, 100) i",
    )
    return shop


def counts(sync: RawSync) -> tuple[int, int, int, int]:
    return sync.rows, sync.inserted, sync.updated, sync.deleted


def test_only_what_changed_is_read_and_only_what_differs_is_written(shop: Shop) -> None:
    assert counts(shop.sync()) == (100, 100, 0, 0)
    before = shop.stored()
    again = shop.sync()
    assert (counts(again), shop.read) == ((100, 0, 0, 0), [100]), "the last one, for there may be a twin"
    shop.run(
        "update goods set title = 'dog', at = '2026-02-01' where id in (3, 4)",
        "update goods set at = '2026-02-01' where id = 5",
        "insert into goods values (101, 'owl', 1, '2026-02-01')",
        "delete from goods where id in (1, 2)",
    )
    third = shop.sync()
    assert counts(third) == (99, 1, 2, 2)
    assert sorted(shop.read) == [3, 4, 5, 100, 101]
    after = shop.stored()
    assert third.version != again.version
    untouched = set(before) - {1, 2, 3, 4}
    assert {key: after[key] for key in untouched} == {key: before[key] for key in untouched}
    assert counts(shop.sync()) == (99, 0, 0, 0)


def test_peers_trap_fixed_offset_rows_with_the_last_cursor_are_not_lost(shop: Shop) -> None:
    """Section 5, item 5: what arrives while reading must not fall between two readings."""
    shop.run("insert into goods values (101, 'first', 1, '2026-03-01')")
    shop.sync()
    shop.run(
        "insert into goods values (102, 'twin', 1, '2026-03-01')",
        "update goods set title = 'moved', at = '2026-03-01' where id = 7",
    )
    assert counts(shop.sync()) == (102, 1, 1, 0)


def test_a_row_that_is_committed_late_is_found_by_the_sweep(shop: Shop) -> None:
    shop.sync()
    shop.run("insert into goods values (500, 'late', 1, '2025-01-01'), (501, 'never stamped', 1, null)")
    assert counts(shop.sync()) == (102, 2, 0, 0)
    assert sorted(shop.read) == [100, 500, 501]
    shop.run("update goods set title = 'late too', at = '2026-01-05 03:59' where id = 7")
    assert counts(shop.sync()) == (102, 0, 0, 0), "an update with an older cursor cannot be seen,"
    assert counts(shop.sync(lookback=60)) == (102, 0, 1, 0), "but for the lookback"


def test_rows_that_are_declared_never_to_leave_stay(shop: Shop) -> None:
    shop.sync(deletes="never")
    shop.run("delete from goods where id < 50", "insert into goods values (500, 'new', 1, '2026-03-01')")
    assert counts(shop.sync(deletes="never")) == (101, 1, 0, 0)
    assert counts(shop.sync()) == (52, 0, 0, 49)


def test_without_a_cursor_all_is_read_and_nothing_is_written_twice(shop: Shop) -> None:
    assert counts(shop.sync(cursor=None)) == (100, 100, 0, 0)
    before = shop.stored()
    shop.run("delete from goods where id = 1", "update goods set price = 0 where id = 2")
    assert counts(shop.sync(cursor=None)) == (99, 0, 1, 1)
    assert len(shop.read) == 99
    after = shop.stored()
    assert {key: after[key] for key in after if key != 2} == {key: before[key] for key in after if key != 2}


def test_insert_100_update_50_delete_20_is_exactly_150_encodes(shop: Shop) -> None:
    encoder = KeywordEncoder()

    def embed() -> int:
        before = len(encoder.encoded)
        FakeStore(shop.workspace, shop.collection(), encoder).embed()
        return len(encoder.encoded) - before

    shop.sync()
    assert embed() == 100
    shop.run(
        "insert into goods select i, 'dog ' || i, 0, '2026-04-01' from generate_series(201, 300) i",
        "update goods set title = 'owl ' || id, at = '2026-04-01' where id between 1 and 50",
        "update goods set price = 7, at = '2026-04-01' where id between 51 and 60",
        "delete from goods where id between 81 and 100",
    )
    assert counts(shop.sync()) == (180, 100, 60, 20)
    assert embed() == 150


def test_a_bad_row_keeps_its_last_good_state_until_it_reads_well(shop: Shop, workspace: Workspace) -> None:
    shop.sync()
    shop.run(
        "update goods set price = 'nan', title = 'broken', at = '2026-02-01' where id = 3",
        "insert into goods values (101, 'bad from the start', 'nan', '2026-02-01'), (102, 'ok', 1, '2026-02-01')",
    )
    second = shop.sync()
    assert (counts(second), second.unreadable) == ((101, 1, 0, 0), 2)
    assert shop.stored()[3][:2] == ("cat 3", 3.0)
    assert [(f.row_key, f.error) for f in workspace.failures.list(shop.name)] == [
        ("[101]", "price: expected a finite number, found Decimal('NaN')"),
        ("[3]", "price: expected a finite number, found Decimal('NaN')"),
    ]
    shop.run("insert into goods values (103, 'newer', 1, '2026-03-01')")
    assert shop.sync().unreadable == 2, "not read again, and not forgotten"
    shop.run("update goods set price = 1, at = '2026-03-02' where id = 3", "delete from goods where id = 101")
    third = shop.sync()
    assert (counts(third), third.unreadable) == ((102, 0, 1, 0), 0)


def test_retry_reads_unreadable_rows_again_although_the_cursor_is_past_them(shop: Shop, workspace: Workspace) -> None:
    shop.sync()
    shop.run("update goods set price = 'nan', at = '2026-02-01' where id = 3")
    shop.run("insert into goods values (103, 'newer', 1, '2026-03-01')")
    assert shop.sync().unreadable == 1
    shop.run("update goods set price = 3 where id = 3")
    assert shop.sync().unreadable == 1, "its cursor was left as it was"
    retried = retry_failures(FakeStore(workspace, shop.collection(), KeywordEncoder()))
    assert (retried.rows, retried.unreadable) == (0, 1)
    done = shop.sync()
    assert (counts(done), done.unreadable) == ((101, 0, 0, 0), 0)


def test_a_declaration_that_changed_is_read_whole(shop: Shop, execute: Execute) -> None:
    shop.sync()
    collection = shop.declare(
        source={"kind": "sql", "url": "{{ env.SHOP_URL }}", "table": "goods", "cursor": "at"},
        fields={"title": "text", "price": "number", "at": "datetime"},
        spaces={"text": {"fields": ["title"]}},
    )
    assert isinstance(collection.source, SqlSource)
    assert counts(shop.workspace.raw.sync(collection, SqlReader(collection, collection.source))) == (100, 0, 100, 0)
    execute(f"drop table raw.{shop.name}")
    assert counts(shop.sync()) == (100, 100, 0, 0), "nor is a table that somebody dropped taken for read"


def test_another_query_is_read_whole(shop: Shop) -> None:
    shop.sync()
    other = "select id, upper(title) as title, price, at from goods"
    assert counts(shop.sync(table=None, query=other)) == (100, 0, 100, 0)


@pytest.mark.parametrize("cursor", ["at", None])
def test_a_source_that_is_suddenly_empty_is_refused_unless_meant(shop: Shop, cursor: str | None) -> None:
    shop.sync(cursor=cursor)
    before = shop.stored()
    shop.run("delete from goods")
    with pytest.raises(SourceError, match=r"where there were 100 rows; nothing was changed.*allow_empty: true"):
        shop.sync(cursor=cursor)
    assert shop.stored() == before
    assert counts(shop.sync(cursor=cursor, allow_empty=True)) == (0, 0, 0, 100)
    shop.run("insert into goods values (7, 'cat', 1, '2026-01-01')")
    assert counts(shop.sync(cursor=cursor, allow_empty=True)) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("insert into goods values (3, 'again', 1, '2026-05-01')", "id 3 stands twice in the source"),
        ("insert into goods values (null, 'nameless', 1, '2026-05-01')", "has none; expected a value in every row"),
    ],
)
@pytest.mark.parametrize("cursor", ["at", None])
def test_an_id_that_is_null_or_stands_twice_stops_and_nothing_is_half_loaded(
    shop: Shop, statement: str, message: str, cursor: str | None
) -> None:
    shop.run("alter table goods drop constraint goods_pkey", "alter table goods alter id drop not null")
    shop.sync(cursor=cursor)
    before, version = shop.stored(), shop.workspace.raw.version(shop.name)
    shop.run(statement, "insert into goods values (900, 'good', 1, '2026-05-01')")
    with pytest.raises(SourceError) as caught:
        shop.sync(cursor=cursor)
    assert message in str(caught.value)
    assert (shop.stored(), shop.workspace.raw.version(shop.name)) == (before, version)


def test_a_sync_that_dies_before_its_commit_reads_the_same_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.sync()
    shop.run("update goods set title = 'dog', at = '2026-02-01' where id = 3")

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shop.workspace.raw, "settle", die)
        shop.sync()
    assert counts(shop.sync()) == (100, 0, 1, 0)
