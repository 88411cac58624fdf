"""Changes that triggers note: every write is seen once it is committed, and a sync looks at those keys only."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from psycopg import sql

from vector_assets.records import Generation
from vector_assets.stores.capture import KEYS_PER_STATEMENT
from vector_assets.stores.difference import Difference
from vector_assets.stores.retry import retry_failures
from vector_assets.stores.workspace import Workspace

EVENTS = ("insert", "update", "delete", "truncate")

Connect = Callable[[], psycopg.Connection]


@pytest.fixture
def connect(workspace: Workspace) -> Connect:
    """Opens a connection of an application that knows nothing of us."""
    return lambda: psycopg.connect(workspace.addresses.database.libpq)


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """300 animals, captured and embedded."""
    animals(300)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    assert workspace.raw.observe(store.collection).capture == "trigger"
    store.embed()
    store.chosen["text"].encoded.clear()
    return store


def listed(store: FakeStore, generation: Generation | None = None) -> Difference:
    """What the next sync would do; its cursor stays where it was."""
    generation = generation or store.all()[0]
    try:
        with store.sync(generation, reuse=None, run_id=None) as sync:
            raise _Seen(sync.difference)
    except _Seen as seen:
        return seen.difference


class _Seen(Exception):
    def __init__(self, difference: Difference) -> None:
        super().__init__()
        self.difference = difference


def texts(execute: Execute, store: FakeStore) -> bool:
    """Tell whether the generation holds exactly the rows of the table, each with the vector of its text."""
    counted = store._counted(store.all()[0])
    return (counted.pending, counted.orphans, counted.stale) == (0, 0, 0)


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


@pytest.mark.parametrize("kind", KEYS)
def test_keys_of_every_type_from_a_session_of_other_habits(
    workspace: Workspace, execute: Execute, declare: Declare, connect: Connect, name: str, kind: str
) -> None:
    definition, one, two = KEYS[kind]
    execute(f"create table {name} ({definition}, title text)")
    collection = declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    workspace.raw.observe(collection)
    store.embed()
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
    collection = declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    workspace.raw.observe(collection)
    store.embed()
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


def test_a_long_transaction_neither_hides_nor_holds_up_others(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    with connect() as slow:
        slow.execute(f"update {name} set title = 'cat slow' where id = 1")
        execute(f"update {name} set title = 'cat quick' where id = 2")
        assert store.embed().latest.encoded == 1, "what was committed is embedded while the other goes on"
        assert store.embed().latest.encoded == 0
        execute(f"update {name} set title = 'cat later' where id = 3")
        slow.commit()
        assert store.embed().latest.encoded == 2, "and the slow one, with an older number, is not forgotten"
    assert texts(execute, store)


def test_what_was_seen_is_not_looked_at_again_while_a_long_transaction_is_open(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    def looked_at() -> list[object]:
        with store.sync(store.all()[0], reuse=None, run_id=None) as sync:
            return [key for (key,) in sync.reading.execute("select k1 from pg_temp.touched order by 1")]

    with connect() as slow:
        slow.execute(f"update {name} set title = 'cat slow' where id = 1")
        execute(f"update {name} set title = 'cat quick' where id = 2")
        assert looked_at() == [2]
        store.embed()
        execute(f"update {name} set title = 'cat later' where id = 3")
        assert looked_at() == [3]
        slow.commit()
    assert looked_at() == [1, 3]


def test_a_hundred_writers_that_commit_in_any_order_while_syncs_run(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    lock, active = threading.BoundedSemaphore(12), list[int]()  # connections at once

    def write(number: int) -> None:
        chooser = random.Random(number)
        with lock, connect() as connection:
            active.append(number)
            for _ in range(3):
                key = chooser.randrange(1, 600)
                connection.execute(
                    f"insert into {name} (id, title) values (%s, %s) "
                    "on conflict (id) do update set title = excluded.title",
                    (key, f"{chooser.choice(['cat', 'dog'])} by {number}"),
                )
                if chooser.random() < 0.3:
                    connection.execute(f"delete from {name} where id = %s", (chooser.randrange(1, 600),))
                time.sleep(chooser.random() * 0.2)
                if chooser.random() < 0.8:
                    connection.commit()
                else:
                    connection.rollback()

    def attempt(number: int) -> None:
        while True:
            try:
                return write(number)
            except psycopg.errors.DeadlockDetected:
                continue

    writers = [threading.Thread(target=attempt, args=(number,)) for number in range(100)]
    for writer in writers:
        writer.start()
    modes, syncs = set(), 0
    while any(writer.is_alive() for writer in writers):
        modes.add(listed(store).mode)
        store.embed()
        syncs += 1
    store.embed()
    assert modes == {"keys"}
    assert syncs > 2
    assert len(active) >= 100
    assert texts(execute, store)


def test_a_sync_that_ends_early_leaves_its_cursor(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"update {name} set title = 'cat again ' || id")
    encoder = store.chosen["text"]

    def during(_: object) -> None:
        if len(encoder.encoded) >= 128:
            raise KeyboardInterrupt

    encoder.during = during
    with pytest.raises(KeyboardInterrupt):
        store.embed()
    encoder.during = None
    found = listed(store)
    assert found.mode == "keys"
    assert 0 < found.work < 300, "what was stored is stored, the rest is still known"
    store.embed()
    assert len(encoder.encoded) <= 300 + 64
    assert texts(execute, store)


def test_two_collections_share_the_triggers_of_a_table(
    store: FakeStore, execute: Execute, declare: Declare, name: str
) -> None:
    other = FakeStore(store.workspace, declare(name=name + "_b"), KeywordEncoder(seed="b"))
    assert store.workspace.raw.observe(other.collection).capture == "trigger"
    assert execute("select count(*) from pg_trigger where tgrelid = %s::regclass", [name]) == [(4,)]
    other.embed()
    execute(f"update {name} set title = 'cat both' where id = 1")
    assert store.embed().latest.encoded == 1
    assert listed(other).work == 1
    assert other.embed().latest.encoded == 1


def test_what_every_reader_has_seen_is_pruned(store: FakeStore, execute: Execute, name: str) -> None:
    def kept() -> int:
        ((count,),) = execute(
            "select count(*) from ops.changes join ops.captures using (capture) where relid = %s::regclass", [name]
        )
        return int(str(count))

    for number in range(5):
        execute(f"update {name} set title = 'cat ' || %s where id = 1", [str(number)])
    assert kept() == 5
    store.embed()
    assert kept() == 5, "the raw asset has not seen them"
    store.workspace.raw.observe(store.collection)
    execute("select pg_current_xact_id()")
    store.embed()
    store.workspace.raw.observe(store.collection)
    assert kept() == 0


def test_a_reader_that_never_comes_again_holds_no_change(store: FakeStore, execute: Execute, name: str) -> None:
    store.workspace.raw.observe(store.collection)
    execute(
        "update ops.cursors set synced_at = now() - interval '8 days' where collection = %s and reader = 'raw'", [name]
    )
    execute(f"update {name} set title = 'cat' where id = 1")
    store.embed()
    execute("select pg_current_xact_id()")
    store.embed()
    left = execute(
        "select count(*) from ops.changes join ops.captures using (capture) where relid = %s::regclass", [name]
    )
    assert left == [(0,)]
    assert execute("select reader from ops.cursors where collection = %s", [name]) == [("1",)]


def test_failed_rows_of_a_captured_table_are_taken_again_when_asked_for(
    store: FakeStore, execute: Execute, name: str
) -> None:
    embeddings = store.workspace.embeddings
    execute(f"update {name} set title = 'poison ' || id where id in (7, 9)")
    assert store.embed().latest.failed == 2
    before = embeddings.content_version(store.all()[0])
    encoder = store.chosen["text"]
    encoder.refuses = ()
    assert (store.embed().latest.encoded, listed(store).mode) == (0, "keys")
    assert retry_failures(store).rows == 2
    found = listed(store)
    assert (found.mode, found.work) == ("keys", 2)
    assert store.embed().latest.encoded == 2
    after = embeddings.content_version(store.all()[0])
    assert after != before, "the inputs are the same, the vectors are not"
    execute("delete from ops.contents where collection = %s", [name])
    assert embeddings.content_version(store.all()[0]) == after, "counted as it was written"


def test_rows_that_share_a_text_that_cannot_be_encoded_all_fail(store: FakeStore, execute: Execute, name: str) -> None:
    execute(f"update {name} set title = 'poison', body = null where id in (7, 8, 9)")
    assert store.embed().latest.failed == 3
    assert {f.row_key for f in store.workspace.failures.list(name)} == {"[7]", "[8]", "[9]"}


def test_a_row_that_left_and_one_that_came_are_another_version(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    """With as many rows as before, and not of those that were compared with the same vectors."""
    raw = store.workspace.raw
    versions = {raw.observe(store.collection).version}
    execute(f"update {name} set title = 'owl' where id = 5")
    versions.add(raw.look(store.collection))
    with connect() as connection:
        connection.execute(f"delete from {name} where id = 1")
        connection.execute(f"insert into {name} (id, title) values (1001, 'cat')")
    versions.add(raw.look(store.collection))
    with connect() as connection:
        connection.execute(f"delete from {name} where id = 2")
        connection.execute(f"insert into {name} (id, title, body, topic, price) values (1, 'dog 1', 'body 1', 't1', 1)")
    versions.add(raw.look(store.collection))
    assert len(versions) == 4


def test_what_one_reader_has_seen_is_kept_for_another_that_saw_it_running(
    store: FakeStore, execute: Execute, connect: Connect, name: str
) -> None:
    store.workspace.raw.observe(store.collection)
    with connect() as slow:
        slow.execute(f"update {name} set title = 'cat slow' where id = 1")
        execute(f"update {name} set title = 'cat quick' where id = 2")
        store.embed()
        slow.commit()
    for _ in range(2):
        execute("select pg_current_xact_id()")
        store.workspace.raw.observe(store.collection)
    assert store.embed().latest.encoded == 1
    assert texts(execute, store)


def test_a_retired_generation_keeps_nothing_from_being_pruned(store: FakeStore, execute: Execute) -> None:
    first = store.all()[0]
    store.build(first)
    store.swap(first, because="test")
    store.use(KeywordEncoder(seed="second"))
    store.embed()
    second = store.all()[0]
    store.build(second)
    store.swap(second, because="test")
    readers = execute("select reader from ops.cursors where collection = %s order by 1", [store.collection.name])
    assert readers == [("2",), ("raw",)]


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
    collection = declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    assert "no plain table" in workspace.raw.observe(collection).capture
    store.embed()
    execute(f"insert into {name}_0 values (1, 'cat')")
    found = listed(store)
    assert (found.mode, found.work) == ("all", 1)


def test_a_table_with_heirs_is_compared_as_a_whole(
    workspace: Workspace, execute: Execute, declare: Declare, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text)")
    execute(f"create table {name}_heir () inherits ({name})")
    collection = declare(fields={"title": "text"}, spaces={"text": {"fields": ["title"]}})
    store = FakeStore(workspace, collection, KeywordEncoder())
    assert "inheritance tree" in workspace.raw.observe(collection).capture
    store.embed()
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


def test_a_watermark_column_tells_what_is_new_and_a_key_scan_what_is_gone(
    workspace: Workspace, execute: Execute, declare: Declare, connect: Connect, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, at timestamptz default clock_timestamp())")
    execute(f"insert into {name} select i, 'cat ' || i, now() - interval '1 day' from generate_series(1, 200) i")
    collection = declare(
        source={"kind": "postgres", "table": name, "capture": "watermark", "watermark": "at", "overlap": "1m"},
        fields={"title": "text"},
        spaces={"text": {"fields": ["title"]}},
    )
    store = FakeStore(workspace, collection, KeywordEncoder())
    workspace.raw.observe(collection)
    store.embed()
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
    collection = declare(
        source={"kind": "postgres", "table": name, "capture": "watermark", "watermark": "at", "overlap": "1m"},
        fields={"title": "text"},
        spaces={"text": {"fields": ["title"]}},
    )
    store = FakeStore(workspace, collection, KeywordEncoder())
    workspace.raw.observe(collection)
    store.embed()
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
