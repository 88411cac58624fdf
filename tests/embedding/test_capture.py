"""Changes that triggers note: every write is seen once it is committed, and a sync looks at those keys only."""

from __future__ import annotations

import pytest
from captured import Connect, embedded, listed, texts
from fakes import Declare, Execute, FakeStore

from vector_assets.stores.capture import KEYS_PER_STATEMENT
from vector_assets.stores.workspace import Workspace

KEYS = {
    "bigint": ("key bigint primary key", "1", "2"),
    "text": ("key text primary key", "'it''s \"a\" \\ b'", "'ß漢'"),
    "uuid": ("key uuid primary key", f"'{'0' * 31}1'", f"'{'0' * 31}2'"),
    "numeric": ("key numeric primary key", "1.50", "12345678901234567890.123456789"),
    "float8": ("key float8 primary key", "0.1::float8 + 0.2", "1e-300"),
    "date": ("key date primary key", "'2024-02-01'", "'2024-01-02'"),
    "timestamptz": ("key timestamptz primary key", "'2024-02-01 10:00+00'", "'2024-01-02 10:00:00.123456+05'"),
    "bytea": ("key bytea primary key", "'\\x00ff'", "'\\x5c'"),
    "char": ("key char(4) primary key", "'ab'", "'c'"),
    "boolean": ("key boolean primary key", "true", "false"),
    "interval": ("key interval primary key", "'1 day 2 hours'", "'-3 mons'"),
    "inet": ("key inet primary key", "'10.0.0.1/8'", "'::1'"),
}


@pytest.fixture
def store(captured: FakeStore) -> FakeStore:
    """300 animals, captured and embedded."""
    return captured


def test_insert_update_delete_look_at_just_those_keys(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"insert into {name} (id, title) select i, 'owl ' || i from generate_series(1001, 1100) i")
    execute(f"update {name} set body = 'new body' where id between 1 and 50")
    execute(f"delete from {name} where id between 281 and 300")
    found = listed(store)
    assert (found.mode, found.work, found.fresh, found.gone) == ("keys", 150, 100, 20)
    report = store.embed().latest
    assert len(store.chosen["text"].encoded) == 150
    assert (report.encoded, report.removed, report.unchanged, report.rows) == (150, 20, 230, 380)
    assert texts(execute, store)
    assert listed(store).mode == "keys"
    assert store.embed().latest.unchanged == 380


def test_an_unread_column_is_looked_at_and_left(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"update {name} set note = 'other' where id < 100")
    found = listed(store)
    assert (found.mode, found.work, found.gone) == ("keys", 0, 0)
    before = store.workspace.raw.version(name)
    assert store.workspace.raw.observe(store.collection).version == before
    assert store.embed().latest.encoded == 0


def test_the_source_has_another_version_only_when_what_is_read_changed(
    store: FakeStore, execute: Execute, name: str
) -> None:
    raw = store.workspace.raw
    first = raw.observe(store.collection).version
    assert raw.look(store.collection) == first
    execute(f"update {name} set body = 'other' where id = 7")
    assert raw.look(store.collection) != first
    second = raw.observe(store.collection)
    assert second.version != first
    assert raw.observe(store.collection).version == second.version, "nothing was written since"
    store.embed()
    assert raw.observe(store.collection).version == second.version, "embedding changes no row"
    execute(f"delete from {name} where id = 7")
    assert raw.observe(store.collection).rows == 299


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_from_a_session_of_other_habits(
    workspace: Workspace, execute: Execute, declare: Declare, connect: Connect, name: str, kind: str
) -> None:
    definition, one, two = KEYS[kind]
    execute(f"create table {name} ({definition}, title text)")
    store = embedded(workspace, declare)
    with connect() as connection:
        connection.execute("set datestyle = 'SQL, DMY'; set timezone = 'Asia/Tokyo'; set extra_float_digits = -10")
        connection.execute("set intervalstyle = 'sql_standard'; set bytea_output = 'escape'")
        connection.execute(f"insert into {name} values ({one}, 'cat'), ({two}, 'dog')")
    found = listed(store)
    assert (found.mode, found.work, found.fresh) == ("keys", 2, 2)
    store.embed()
    with connect() as connection:
        connection.execute("set datestyle = 'SQL, DMY'; set timezone = 'Asia/Tokyo'; set extra_float_digits = -10")
        connection.execute(f"update {name} set title = 'owl' where key = {one}")
        connection.execute(f"delete from {name} where key = {two}")
    found = listed(store)
    assert (found.mode, found.work, found.fresh, found.gone) == ("keys", 1, 0, 1)
    store.embed()
    assert texts(execute, store)


def test_a_composite_key_that_is_changed_is_one_row_gone_and_one_come(
    workspace: Workspace, execute: Execute, declare: Declare, name: str
) -> None:
    execute(f'create table {name} (title text, "n" bigint, "fresh" text, primary key ("fresh", "n"))')
    execute(f"insert into {name} select 'cat', i, 'x' from generate_series(1, 9) i")
    store = embedded(workspace, declare)
    execute(f'update {name} set "n" = 100 where "n" = 3')
    found = listed(store)
    assert (found.mode, found.work, found.fresh, found.gone) == ("keys", 1, 1, 1)
    store.embed()
    assert texts(execute, store)


def test_a_statement_of_many_rows_leaves_one_mark(store: FakeStore, execute: Execute, name: str) -> None:
    many = KEYS_PER_STATEMENT + 1
    execute(f"insert into {name} (id, title) select i, 'cat ' || i from generate_series(1001, {1000 + many - 1}) i")
    assert listed(store).mode == "keys"
    execute(f"insert into {name} (id, title) select i, 'cat ' || i from generate_series(90001, {90000 + many}) i")
    found = listed(store)
    assert (found.mode, found.work) == ("all", 2 * many - 1)
    ((keys,),) = execute(
        "select count(*) from ops.changes c join ops.captures using (capture) where relid = %s::regclass "
        "and keys is null", [name]
    )  # fmt: skip
    assert keys == 1


def test_truncate_empties_the_generation(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"truncate {name}")
    assert listed(store).mode == "all"
    report = store.embed().latest
    assert (report.removed, report.rows) == (300, 0)


def test_copy_merge_and_upsert_are_seen(store: FakeStore, execute: Execute, connect: Connect, name: str) -> None:
    with connect() as connection, connection.cursor() as cursor:
        with cursor.copy(f"copy {name} (id, title) from stdin") as copy:
            copy.write("901\tcat\n902\tdog\n")
        cursor.execute(f"insert into {name} (id, title) values (1, 'owl'), (903, 'owl') "
                       "on conflict (id) do update set title = excluded.title")  # fmt: skip
        cursor.execute(
            f"merge into {name} t using (values (2, 'fish'), (904, 'fish')) s (id, title) on t.id = s.id "
            "when matched then update set title = s.title when not matched then insert (id, title) values (id, title)"
        )
    found = listed(store)
    assert (found.mode, found.work, found.fresh) == ("keys", 6, 4)


def test_what_was_rolled_back_was_not_written(store: FakeStore, connect: Connect, name: str) -> None:
    with connect() as connection:
        connection.execute(f"update {name} set title = 'cat' where id = 1")
        connection.execute("savepoint a")
        connection.execute(f"update {name} set title = 'cat' where id in (2, 3, 5)")
        connection.execute("rollback to a")
        connection.execute(f"update {name} set title = 'cat' where id = 6")
    with connect() as connection:
        connection.execute(f"delete from {name}")
        connection.rollback()
    found = listed(store)
    assert (found.mode, found.work, found.gone) == ("keys", 2, 0)
