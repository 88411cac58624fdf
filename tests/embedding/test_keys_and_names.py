"""Keys of every kind and columns of every name, through load, sync, search and coverage."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from psycopg import sql

from vector_assets.errors import SourceError, SpecError
from vector_assets.records import Generation
from vector_assets.search.engine import SearchEngine
from vector_assets.stores.workspace import Workspace

U1, U2 = UUID(int=1), UUID(int=2)
CAT = np.array([1, 0, 0, 0, 0], np.float32)


def go_live(store: FakeStore) -> Generation:
    store.embed()
    generation = store.all()[0]
    store.build(generation)
    return store.swap(generation, because="test")


KEYS = {
    "bigint": ("a bigint primary key", [(1,), (2,)], "[1]"),
    "smallint": ("a smallint primary key", [(1,), (2,)], "[1]"),
    "text": ("a text primary key", [("it's",), ('"b"',)], '["it\'s"]'),
    "varchar": ("a varchar(10) primary key", [("x",), ("y",)], '["x"]'),
    "char": ("a char(3) primary key", [("xy ",), ("z  ",)], '["xy "]'),
    "uuid": ("a uuid primary key", [(U1,), (U2,)], f'["{U1}"]'),
    "numeric": ("a numeric(10,2) primary key", [("1.50",), ("2.25",)], '["1.50"]'),
    "timestamptz": (
        "a timestamptz primary key",
        [("2024-01-01 00:00+00",), ("2024-01-02 00:00+00",)],
        '["2024-01-01 00:00:00+00:00"]',
    ),
    "date": ("a date primary key", [("2024-01-01",), ("2024-01-02",)], '["2024-01-01"]'),
    "composite": ('a bigint, "B b" text, primary key (a, "B b")', [(1, "x"), (1, "y")], '[1,"x"]'),
    "composite in another order": ('a bigint, "B b" text, primary key ("B b", a)', [(1, "x"), (1, "y")], '["x",1]'),
    "enum": ("a {enum} primary key", [("red",), ("blue",)], '["red"]'),
    "domain over integer": ("a {domain} primary key", [(5,), (6,)], "[5]"),
    "named like a join alias": ('"r" bigint primary key', [(1,), (2,)], "[1]"),
    "with a percent sign": ('"a%" bigint primary key', [(1,), (2,)], "[1]"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_kind(workspace: Workspace, execute: Execute, declare: Declare, name: str, kind: str) -> None:
    definition, keys, row_key = KEYS[kind]
    if "{enum}" in definition:
        execute(f"create type {name}_e as enum ('red', 'blue')")
    if "{domain}" in definition:
        execute(f"create domain {name}_d as integer check (value > 0)")
    execute(f"create table {name} ({definition.format(enum=name + '_e', domain=name + '_d')}, t text)")
    for key, text in zip(keys, ["cat", "poison"], strict=True):
        execute(f"insert into {name} values ({', '.join(['%s'] * len(key))}, %s)", (*key, text))
    store = FakeStore(workspace, declare(fields={"t": "text"}, spaces={"text": {"fields": ["t"]}}), KeywordEncoder())
    live = go_live(store)
    report = store.embed().latest
    assert (report.unchanged, report.encoded) == (2, 0)
    (failure,) = workspace.failures.list(name)
    (hit,) = workspace.reader().search(live, CAT, k=5, exact=False)
    assert hit.score == pytest.approx(1)
    single = row_key[1:-1].strip('"') if len(keys[0]) == 1 else row_key
    assert hit.id == single
    ((stored_keys, vectors),) = list(store.blocks(live))
    assert len(stored_keys) == 1
    assert vectors.tolist() == [CAT.tolist()]
    assert store.check_coverage(live).passed
    execute(f"delete from {name}")
    assert store.embed().latest.removed == 2
    assert workspace.failures.list(name) == (), failure


NAMES = ["select", "Mixed Case", 'with "quotes"', "semi;colon", "100%", "percent %s", "{braces}", "größe", "it's"]


@pytest.mark.parametrize("column", NAMES)
def test_columns_of_every_name_in_place(
    workspace: Workspace, execute: Execute, declare: Declare, name: str, column: str
) -> None:
    quoted = sql.Identifier(column)
    execute(sql.SQL("create table {} (id bigint primary key, {} text)").format(sql.Identifier(name), quoted))
    execute(sql.SQL("insert into {} values (1, 'cat'), (2, 'dog')").format(sql.Identifier(name)))
    spaces = {"text": {"fields": [column]}}
    store = FakeStore(workspace, declare(fields={column: "text"}, spaces=spaces, filters=[column]), KeywordEncoder())
    live = go_live(store)
    hits = workspace.reader().search(live, CAT, k=5, exact=False)
    assert [(hit.id, hit.row) for hit in hits] == [
        ("1", {"id": 1, column: "cat"}),
        ("2", {"id": 2, column: "dog"}),
    ]
    execute(sql.SQL("update {} set {} = {} where id = 2").format(sql.Identifier(name), quoted, sql.Literal("owl")))
    assert store.embed().latest.encoded == 1
    assert workspace.raw.look(store.collection)


def test_a_field_may_be_named_score(workspace: Workspace, execute: Execute, declare: Declare, name: str) -> None:
    execute(f"create table {name} (id bigint primary key, t text, score float8, k text, checkpoint text)")
    execute(f"insert into {name} values (1, 'cat', 42, 'x', 'y')")
    fields = {"t": "text", "score": "number", "k": "text", "checkpoint": "text"}
    store = FakeStore(workspace, declare(fields=fields, spaces={"text": {"fields": ["t"]}}), KeywordEncoder())
    live = go_live(store)
    (hit,) = workspace.reader().search(live, CAT, k=5, exact=False)
    assert hit.score == pytest.approx(1)
    assert hit.row == {"id": 1, "t": "cat", "score": 42, "k": "x", "checkpoint": "y"}


@pytest.mark.parametrize("column", ["generation", "embedded_at", "stale", "xmin", "ctid"])
def test_fields_named_like_columns_of_the_view_are_refused(declare: Declare, column: str) -> None:
    with pytest.raises(ValueError, match=f"fields.{column}: is the name of a column that Postgres or search adds"):
        declare(fields={"title": "text", "body": "text", column: "text"})


@pytest.mark.parametrize("column", ["q", "k", "checkpoint", "exact", "chunk_no", "score", "generation", "ctid"])
def test_a_file_id_named_like_an_argument_of_search_is_refused(declare: Declare, column: str) -> None:
    with pytest.raises(ValueError, match=f"source.id: {column} is the name of"):
        declare(source={"kind": "file", "path": "x.jsonl", "id": column})


@pytest.mark.parametrize("column", ["q", "k", "checkpoint", "exact", "chunk_no", "score", "generation", "stale"])
def test_a_primary_key_named_like_an_argument_of_search_is_refused(
    workspace: Workspace, execute: Execute, declare: Declare, name: str, column: str
) -> None:
    execute(f'create table {name} ("{column}" bigint primary key, t text)')
    collection = declare(fields={"t": "text"}, spaces={"text": {"fields": ["t"]}})
    with pytest.raises(SourceError, match=f"primary key column {column}") as caught:
        workspace.raw.relation(collection)
    assert "\n" not in str(caught.value)


def test_a_table_in_another_schema_with_a_mixed_case_name(
    workspace: Workspace, execute: Execute, declare: Declare, name: str
) -> None:
    execute(f'create schema "S {name}"')
    execute(f'create table "S {name}"."T" (id bigint primary key, t text)')
    with pytest.raises(ValueError, match="table"):
        declare(source={"kind": "postgres", "table": f"S {name}.T"})
    execute(f'alter schema "S {name}" rename to "S{name}"')
    execute(f'insert into "S{name}"."T" values (1, \'cat\')')
    source = {"kind": "postgres", "table": f"S{name}.T"}
    store = FakeStore(
        workspace, declare(source=source, fields={"t": "text"}, spaces={"text": {"fields": ["t"]}}), KeywordEncoder()
    )
    live = go_live(store)
    assert [hit.id for hit in workspace.reader().search(live, CAT, k=5, exact=False)] == ["1"]


def test_an_engine_over_a_collection_reads_rows_and_staleness(
    workspace: Workspace, execute: Execute, declare: Declare, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, t text, at timestamptz)")
    execute(f"insert into {name} values (1, 'cat', '2024-03-01 12:00+00'), (2, 'cat dog', '2024-03-02 12:00+00')")
    collection = declare(fields={"t": "text", "at": "datetime"}, spaces={"text": {"fields": ["t", "at"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    go_live(store)
    engine = SearchEngine(workspace.reader(), name, store.reader_encoder)  # type: ignore[arg-type]
    hits = engine.search("a cat", k=5)
    assert [(hit.id, round(hit.score, 4), hit.stale) for hit in hits.hits] == [("1", 1, False), ("2", 0.7071, False)]
    execute(f"update {name} set t = 'owl' where id = 1")
    assert [(hit.id, hit.stale) for hit in engine.search("a cat", k=5).hits] == [("1", True), ("2", False)]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_staleness_does_not_depend_on_the_reading_session(
    workspace: Workspace, execute: Execute, declare: Declare, name: str, zone: str
) -> None:
    execute(f"create table {name} (id bigint primary key, t text, at timestamptz, x float8)")
    execute(f"insert into {name} values (1, 'cat', '2024-03-01 12:00+00', 0.1::float8 + 0.2::float8)")
    collection = declare(
        fields={"t": "text", "at": "datetime", "x": "number"},
        spaces={"text": {"fields": ["t", "at"]}},
        filters=["at", "x"],
    )
    go_live(FakeStore(workspace, collection, KeywordEncoder()))
    execute(f"alter role vector_assets_reader set timezone = '{zone}'")
    try:
        import psycopg

        with psycopg.connect(workspace.addresses.database.user("vector_assets_reader").libpq) as connection:
            row = connection.execute(f"select stale from search.{name}_rows").fetchone()  # type: ignore[arg-type]
    finally:
        execute("alter role vector_assets_reader reset timezone")
    assert row == (False,)


def test_reserved_names_in_a_declaration_are_one_line(tmp_path: Path) -> None:
    from vector_assets.spec.load import load_text

    text = (
        "type: vector_assets.CollectionComponent\nattributes:\n  name: a\n  source: {kind: file, path: x.jsonl}\n"
        "  fields: {stale: text}\n  spaces: {t: {fields: [stale]}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load_text(text, "d.yaml", tmp_path)
    assert "\n" not in str(caught.value)
    assert "stale" in str(caught.value)
