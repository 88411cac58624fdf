"""Where triggers did not see a write, or may not be had: the sync notices and compares all rows."""

from __future__ import annotations

import pytest
from captured import Connect, embedded, listed, texts
from fakes import Declare, Execute, FakeStore
from psycopg import sql

from vector_assets.stores.workspace import Workspace

EVENTS = ("insert", "update", "delete", "truncate")


@pytest.fixture
def store(captured: FakeStore) -> FakeStore:
    """300 animals, captured and embedded."""
    return captured


@pytest.mark.parametrize(
    "fault",
    [
        "alter table {0} disable trigger user; update {0} set title = 'cat unseen'; "
        "alter table {0} enable trigger user",
        "alter table {0} disable trigger user; update {0} set title = 'cat unseen'",
        "drop trigger vector_assets_update on {0}; update {0} set title = 'cat unseen'",
        # Switched on again as they were: their catalogue rows are other ones all the same.
        "alter table {0} disable trigger user; update {0} set title = 'cat unseen'; "
        + "; ".join(f"alter table {{0}} enable always trigger vector_assets_{event}" for event in EVENTS),
        # The same columns, in another file.
        "alter table {0} alter column title type text using 'cat unseen'",
        "alter table {0} alter column title type varchar using 'cat unseen'",
        "alter table {0} drop column title cascade; alter table {0} add column title text default 'cat unseen'",
        "delete from ops.changes",
    ],
)
def test_writes_that_passed_the_triggers_by_are_found(
    store: FakeStore, execute: Execute, connect: Connect, name: str, fault: str
) -> None:
    if "ops.changes" in fault:
        execute(f"update {name} set title = 'cat unseen'")
        whole = True  # nothing in the catalogue tells: the sweep of the daily maintenance finds it
    else:
        whole = False
    with connect() as connection:
        connection.execute(fault.format(name))
    report = store.embed(whole=whole).latest
    assert report.encoded == 300
    assert texts(execute, store)
    store.workspace.raw.observe(store.collection)
    store.embed()
    assert listed(store).mode == "keys", "the next look at the table mends its triggers"


def test_while_a_trigger_is_off_every_sync_compares_all_rows(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    with connect() as connection:
        connection.execute(f"alter table {name} disable trigger vector_assets_update")
    for number in (1, 2):
        execute(f"update {name} set title = 'cat unseen' where id = %s", [number])
        assert listed(store).mode == "all"
        assert store.embed().latest.encoded == 1


def test_the_triggers_function_looks_up_nothing_on_the_writer_s_path(store: FakeStore, execute: Execute) -> None:
    """It runs with its owner's rights: a function of the writer's must not take the place of one of Postgres's."""
    found = execute(
        "select prosecdef, proconfig @> array['search_path=pg_catalog'] from pg_proc join pg_trigger on tgfoid = "
        "pg_proc.oid where tgrelid = %s::regclass", [store.collection.name]
    )  # fmt: skip
    assert found == [(True, True)] * 4


def test_writes_under_a_replica_s_role_are_seen(store: FakeStore, connect: Connect, name: str) -> None:
    with connect() as connection:
        connection.execute("set session_replication_role = replica")
        connection.execute(f"update {name} set title = 'cat' where id = 1")
    found = listed(store)
    assert (found.mode, found.work) == ("keys", 1)


def test_a_sweep_mends_both_directions(store: FakeStore, execute: Execute, connect: Connect, name: str) -> None:
    """Rows restored without triggers, and vectors lost with rows: by a whole comparison."""
    with connect() as connection:
        connection.execute(f"delete from {name} where id <= 10")
        connection.execute(f"insert into {name} (id, title) select i, 'owl ' || i from generate_series(501, 520) i")
        connection.execute("delete from ops.changes")
    assert store.embed().latest.encoded == 0, "nobody told"
    report = store.embed(whole=True).latest
    assert (report.encoded, report.removed, report.rows) == (20, 10, 310)
    assert texts(execute, store)


def test_a_sweep_removes_a_row_that_had_nothing_to_read(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    """Its digest is that of a row that is not there."""
    execute(f"update {name} set title = null, body = null, topic = null, price = null where id = 1")
    assert store.embed().latest.empty == 1
    with connect() as connection:
        connection.execute(f"delete from {name} where id = 1")
        connection.execute("delete from ops.changes")
    assert store.embed(whole=True).latest.removed == 1
    assert texts(execute, store)


def test_where_triggers_cannot_see_all_writes_the_table_is_compared_as_a_whole(
    workspace: Workspace, execute: Execute, declare: Declare, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text) partition by hash (id)")
    execute(f"create table {name}_0 partition of {name} for values with (modulus 1, remainder 0)")
    store = embedded(workspace, declare, seen="no plain table")
    execute(f"insert into {name}_0 values (1, 'cat')")
    found = listed(store)
    assert (found.mode, found.work) == ("all", 1)


def test_a_table_with_heirs_is_compared_as_a_whole(
    workspace: Workspace, execute: Execute, declare: Declare, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text)")
    execute(f"create table {name}_heir () inherits ({name})")
    store = embedded(workspace, declare, seen="inheritance tree")
    execute(f"insert into {name}_heir values (1, 'cat')")
    assert store.embed().latest.encoded == 1


def test_a_declaration_that_says_scan_removes_the_triggers(
    store: FakeStore, execute: Execute, declare: Declare, name: str
) -> None:
    scanned = declare(source={"kind": "postgres", "table": name, "capture": "scan"})
    assert store.workspace.raw.observe(scanned).capture == "compared by scan"
    assert execute("select count(*) from pg_trigger where tgrelid = %s::regclass", [name]) == [(0,)]
    left = execute("select count(*) from ops.captures where relid = %s::regclass", [name])
    assert left == [(0,)]
    execute(f"update {name} set title = 'cat' where id = 1")
    assert store.embed().latest.encoded == 1


def marked(workspace: Workspace, declare: Declare) -> FakeStore:
    """A table with a column ``at`` that tells when a row was written."""
    source = {"capture": "watermark", "watermark": "at", "overlap": "1m"}
    return embedded(workspace, declare, seen="", **source)


def test_a_watermark_column_tells_what_is_new_and_a_key_scan_what_is_gone(
    workspace: Workspace, execute: Execute, declare: Declare, connect: Connect, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, at timestamptz default clock_timestamp())")
    execute(f"insert into {name} select i, 'cat ' || i, now() - interval '1 day' from generate_series(1, 200) i")
    store = marked(workspace, declare)
    with connect() as late:
        late.execute(f"insert into {name} values (501, 'owl late', now() - interval '30 seconds')")
        execute(f"insert into {name} values (502, 'owl', now())")
        found = listed(store)
        assert (found.mode, found.work) == ("watermark", 1)
        store.embed()
        late.commit()
    execute(f"update {name} set title = 'unseen, for the column was left' where id = 1")
    execute(f"delete from {name} where id = 2")
    found = listed(store)
    assert (found.mode, found.work, found.gone) == ("watermark", 1, 1)
    store.embed()
    assert store.embed(whole=True).latest.encoded == 1, "the sweep finds what left the column as it was"


def test_rows_without_a_watermark_are_looked_at_each_time(
    workspace: Workspace, execute: Execute, declare: Declare, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, at timestamptz)")
    execute(f"insert into {name} select i, 'cat ' || i, now() from generate_series(1, 20) i")
    store = marked(workspace, declare)
    execute(f"insert into {name} values (21, 'owl', null), (22, 'owl', now() - interval '1 hour')")
    found = listed(store)
    assert (found.mode, found.work) == ("watermark", 1), "22 came below the mark: the sweep finds it"
    store.embed()
    assert store.embed(whole=True).latest.encoded == 1


def test_a_cursor_of_another_server_is_not_believed(store: FakeStore, execute: Execute, name: str) -> None:
    """After a dump was restored elsewhere, transaction numbers begin anew."""
    execute("update ops.cursors set seen = '9999999999:9999999999:' where collection = %s", [name])
    assert listed(store).mode == "all"


def test_a_writer_without_rights_on_our_schemas_writes_as_before(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    execute(sql.SQL("create role {} nologin").format(sql.Identifier(name + "_app")))
    execute(f"grant select, insert, update, delete on {name} to {name}_app")
    with connect() as connection:
        connection.execute(f"set role {name}_app")
        connection.execute(f"update {name} set title = 'cat' where id = 1")
    assert listed(store).work == 1
    execute(f"revoke all on {name} from {name}_app")
    execute(f"drop role {name}_app")
