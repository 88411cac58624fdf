"""Rows of a query: the same from every database, streamed, and what is wrong named without a secret."""

from __future__ import annotations

import sqlite3
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from vector_assets.errors import SourceError, SpecError
from vector_assets.records import BadRow, KeyColumn, RawRow
from vector_assets.source.open import open_source
from vector_assets.source.sql import SqlReader
from vector_assets.spec import Collection, SqlSource
from vector_assets.spec.load import find_problems, load_collection
from vector_assets.spec.scaffold import init_project
from vector_assets.stores.declaring import write_declaration
from vector_assets.stores.urls import DatabaseUrl

FIELDS = {"title": "text", "price": "number", "at": "datetime", "topic": "category"}
DAY = datetime(2026, 1, 31, 10, 30, tzinfo=UTC)
TABLE = "create table orders (order_id {big}, title text, price {number}, at {time}, topic text, note text)"
ROWS = (
    "insert into orders values (1, 'one: 100% ::text', 1.5, '2026-01-31 10:30:00', 'x', 'n'), "
    "(2, 'two', null, null, null, null)"
)
EXPECTED = [RawRow((1,), ("one: 100% ::text", 1.5, DAY, "x")), RawRow((2,), ("two", None, None, None))]

Fill = Callable[[str], str]


def collection(fields: dict[str, str] | None = None, **source: object) -> Collection:
    fields = fields or FIELDS
    declared = {"kind": "sql", "url": "{{ env.WAREHOUSE_URL }}", "id": "order_id", **source}
    if "query" not in source:
        declared["table"] = source.get("table", "orders")
    return Collection.model_validate(
        {"name": "orders", "source": declared, "fields": fields, "spaces": {"text": {"fields": [next(iter(fields))]}}}
    )


def reader(fields: dict[str, str] | None = None, **source: object) -> SqlReader:
    opened = open_source(collection(fields, **source))
    assert isinstance(opened, SqlReader)
    return opened


def refused(fields: dict[str, str] | None = None, **source: object) -> str:
    with pytest.raises(SourceError) as caught:
        list(reader(fields, **source).rows())
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def lite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Runs statements on an SQLite file that WAREHOUSE_URL names."""
    path = tmp_path / "shop.db"
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{path}")

    def run(*statements: str) -> None:
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement)

    run(TABLE.format(big="integer", number="real", time="text"), ROWS)
    return run


@pytest.fixture
def duck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    duckdb = pytest.importorskip("duckdb")
    path = tmp_path / "shop.duckdb"
    monkeypatch.setenv("WAREHOUSE_URL", f"duckdb:///{path}")

    def run(*statements: str) -> None:
        with duckdb.connect(str(path)) as connection:
            for statement in statements:
                connection.execute(statement)

    run(TABLE.replace(" at ", ' "at" ').format(big="bigint", number="decimal(10, 2)", time="timestamp"), ROWS)
    return run


@pytest.fixture
def other(fresh_database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Another Postgres database; its URL names no driver."""
    monkeypatch.setenv("WAREHOUSE_URL", fresh_database.libpq)

    def run(*statements: str) -> None:
        with psycopg.connect(fresh_database.libpq, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[arg-type]

    run(TABLE.format(big="bigint", number="numeric(10, 2)", time="timestamptz"), ROWS)
    return run


@pytest.mark.parametrize("database", ["lite", "duck", "other"])
def test_every_database_gives_the_same_rows(database: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(database)
    assert reader().key == (KeyColumn("order_id", "bigint"),)
    assert list(reader().rows()) == EXPECTED
    query = "select * from orders where title <> ':x' and price is not null or '10:30' = '10:30' order by order_id;"
    assert list(reader(query=query).rows()) == EXPECTED
    if database != "lite":
        query = "select *, '7'::text as other from orders order by 1"
        first = next(reader({**FIELDS, "other": "text"}, query=query).rows())
        assert isinstance(first, RawRow) and first.values[-1] == "7"
    assert sorted(reader().keys() or []) == [(1,), (2,)]
    assert [row.key for row in reader().rows_of([(2,), (7,)])] == [(2,)]


@pytest.mark.parametrize("database", ["lite", "duck", "other"])
def test_a_cursor_gives_what_changed_since_with_equal_values_again(
    database: str, request: pytest.FixtureRequest
) -> None:
    run = request.getfixturevalue(database)
    run("insert into orders values (3, 'three', 3, '2026-02-01 00:00:00', 'y', 'n')")
    first = reader(cursor="at")
    assert {row.key[0] for row in first.changes(None) if isinstance(row, RawRow)} == {1, 2, 3}
    since = first.reached()
    before = first.fingerprint()
    run(
        "insert into orders values (4, 'late twin', 3, '2026-02-01 00:00:00', 'y', 'n')",
        "insert into orders values (5, 'newer', 3, '2026-02-02 00:00:00', 'y', 'n')",
    )
    again = reader(cursor="at")
    assert again.fingerprint() != before
    found = {row.key[0] for row in again.changes(since) if isinstance(row, RawRow)}
    assert found == {3, 4, 5, 2}, "the twin of the last one, the newer one, and the one without a cursor"
    assert again.reached() != since
    if database != "lite":
        month = reader(cursor="at", lookback=31 * 86400)
        assert {row.key[0] for row in month.changes(again.reached()) if isinstance(row, RawRow)} == {1, 2, 3, 4, 5}


def test_the_fingerprint_of_a_cursor_sees_a_twin_of_the_highest(lite: Callable[..., None]) -> None:
    lite("update orders set at = '2026-01-31 10:30:00'")
    before = reader(cursor="at").fingerprint()
    assert reader(cursor="at").fingerprint() == before
    lite("insert into orders values (3, 'x', 1, '2026-01-01 00:00:00', 'y', 'n')")
    third = reader(cursor="at").fingerprint()
    assert third != before
    lite("update orders set at = '2026-01-31 10:30:00' where order_id = 3")
    assert reader(cursor="at").fingerprint() != third


def test_a_wrong_value_is_one_bad_row_that_keeps_its_key(lite: Callable[..., None]) -> None:
    lite("insert into orders values (3, 'three', 'cheap', '2026-01-31', 'x', 'n')")
    rows = list(reader().rows())
    assert rows[:2] == EXPECTED
    assert rows[2] == BadRow(
        "[3]", "price: expected a number, found the text 'cheap'", '[3, "three", "cheap", "2026-01-31", "x"]', (3,)
    )
    lite("delete from orders where order_id < 3")
    assert refused().endswith("not one row of the query can be read")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("insert into orders (title) values ('x')", "orders: order_id: row 3 of the query has none"),
        (
            "insert into orders (order_id) values ('seven')",
            "orders: order_id: row 3 of the query has the text 'seven'; expected a whole number of 64 bits, "
            "as in the first row",
        ),
    ],
)
def test_a_row_without_a_usable_id_ends_the_reading(lite: Callable[..., None], statement: str, message: str) -> None:
    lite("drop table orders", TABLE.format(big="blob", number="real", time="text"), ROWS, statement)
    assert message in refused()


def test_a_missing_column_table_file_or_variable_is_named(
    lite: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert refused({"prize": "number"}) == (
        "orders: prize: the query has no such column; it has order_id, title, price, at, topic, note"
    )
    assert "no such table: nowhere" in refused(table="nowhere")
    assert "syntax error" in refused(query="selekt 1")
    monkeypatch.setenv("WAREHOUSE_URL", f"sqlite:///{tmp_path}/none.db")
    assert "no such file; expected a database" in refused()
    assert not (tmp_path / "none.db").exists()
    monkeypatch.delenv("WAREHOUSE_URL")
    assert refused() == "orders: the variable WAREHOUSE_URL is not set; expected the URL of the source in it"
    monkeypatch.setenv("WAREHOUSE_URL", "snowflake://me:hunter2@there/db")
    assert refused() == (
        "orders: the driver of its URL is not installed (snowflake); install the SQLAlchemy dialect for snowflake"
    )
    monkeypatch.setenv("WAREHOUSE_URL", "me:hunter2")
    assert "holds no URL" in refused()


def test_no_secret_is_shown(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("WAREHOUSE_URL", "postgresql://me:hunter2@127.0.0.1:9/shop?connect_timeout=2")
    with caplog.at_level("DEBUG"):
        said = refused()
    assert "postgresql+psycopg://me:***@127.0.0.1:9/shop cannot be read" in said
    assert "hunter2" not in said + caplog.text + repr(reader()) + repr(collection())


def test_memory_is_bounded_by_the_batch(lite: Callable[..., None]) -> None:
    lite(
        "delete from orders",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) "
        "insert into orders select i, 'title ' || i, i, null, 'x', null from n",
    )
    opened = reader(batch=500)
    _ = opened.key
    tracemalloc.start()
    try:
        assert sum(1 for _ in opened.rows()) == 100_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * 2**20, "100,000 rows as tuples are some 30 MiB"


DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: orders
  source:
    kind: sql
    url: {url}
    {rest}
  fields: {{title: text}}
  spaces: {{text: {{fields: [title]}}}}
"""


@pytest.mark.parametrize(
    ("url", "rest", "expected"),
    [
        ("postgresql://me:hunter2@host/db", "table: a", "d.yaml:6: source.url: is written out; expected a reference"),
        ("\"{{ env.X or 'sqlite://me:hunter2@h' }}\"", "table: a", "d.yaml:6: source.url: is written out"),
        ('"{{ env.X }}"', "id: a", "d.yaml:4: source: query and table: expected exactly one of them"),
        ('"{{ env.X }}"', "table: a\n    query: b", "d.yaml:4: source: query and table: expected exactly one of them"),
        ('"{{ env.X }}"', "table: a\n    deletes: never", "d.yaml:8: source.deletes: has a meaning only with cursor"),
        ('"{{ env.X }}"', "table: a\n    id: title", "d.yaml:9: fields.title: is the id of the rows already"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused_with_its_line(url: str, rest: str, expected: str) -> None:
    problems = list(map(str, find_problems(DECLARATION.format(url=url, rest=rest), "d.yaml")))
    assert len(problems) == 1 and problems[0].startswith(expected), problems
    assert "hunter2" not in problems[0]


@pytest.mark.parametrize("database", ["lite", "duck", "other"])
def test_a_first_declaration_is_written_from_a_table(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    request.getfixturevalue(database)
    project = init_project(tmp_path / "shop")
    path = write_declaration(project, "orders", "env:WAREHOUSE_URL#orders", id_column=None)
    declared = load_collection(path)
    assert declared.source == SqlSource(kind="sql", url="{{ env.WAREHOUSE_URL }}", table="orders", id="order_id"), (
        "the reference, not what it stands for"
    )
    assert set(declared.fields) == {"title", "price", "at", "topic", "note"}
    assert (declared.fields["price"], declared.fields["at"]) == ("number", "datetime")
    assert len(list(open_source(declared).rows())) == 2
    with pytest.raises(SpecError, match="expected env:VARIABLE#table, such as env:WAREHOUSE_URL#sales"):
        write_declaration(project, "other", "env:WAREHOUSE_URL", id_column=None)
    with pytest.raises(SourceError, match="nowhere"):
        write_declaration(project, "other", "env:WAREHOUSE_URL#nowhere", id_column=None)


def test_a_declaration_is_checked_without_its_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X", raising=False)
    assert find_problems(DECLARATION.format(url='"{{ env.X }}"', rest="table: a"), "d.yaml") == ()
