"""How far each reader has come: transactions in any order, several readers, and what all have seen is pruned."""

from __future__ import annotations

import random
import threading
import time

import psycopg
import pytest
from captured import Connect, listed, texts
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.stores.retry import retry_failures


@pytest.fixture
def store(captured: FakeStore) -> FakeStore:
    """300 animals, captured and embedded."""
    return captured


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
