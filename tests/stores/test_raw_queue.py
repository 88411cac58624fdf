"""Messages of a queue, each applied once and in the order of its row: a table in Postgres, Redis, a fake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from brokers import Broker, TableBroker, declared, delete, upsert
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.errors import SourceError
from vector_assets.source.open import open_source
from vector_assets.stores.planning import plan
from vector_assets.stores.raw_write import RawSync
from vector_assets.stores.retry import retry_failures
from vector_assets.stores.workspace import Workspace

KINDS = pytest.mark.parametrize("kind", ["table", "fake", "redis"])


@pytest.fixture
def broker(kind: str, request: pytest.FixtureRequest) -> Broker:
    return request.getfixturevalue(kind)  # type: ignore[no-any-return]


def counts(sync: RawSync) -> tuple[int, int, int, int]:
    return sync.rows, sync.inserted, sync.updated, sync.deleted


@KINDS
def test_messages_become_rows_and_the_queue_is_empty_then(broker: Broker) -> None:
    assert counts(broker.drain()) == (0, 0, 0, 0)
    broker.send(*(upsert(f"r{i}", f"cat {i}", version=1, price=i) for i in range(7)), delete("r3", version=2))
    assert broker.waiting() == 8
    first = broker.drain()
    assert first.rows == 6
    assert set(broker.rows()) == {f"r{i}" for i in range(7) if i != 3}
    assert broker.waiting() == 0
    again = broker.drain()
    assert (counts(again), again.version) == ((6, 0, 0, 0), first.version)


@KINDS
def test_a_later_sequence_wins_and_an_older_replay_never_overwrites(broker: Broker) -> None:
    broker.send(upsert("a", "three", version=3), upsert("a", "two", version=2), upsert("b", "one", version=1))
    broker.drain()
    assert broker.rows() == {"a": "three", "b": "one"}
    broker.send(delete("b", version=5), upsert("a", "one", version=1), upsert("b", "resurrected", version=4))
    assert counts(broker.drain()) == (1, 0, 0, 1)
    broker.send(upsert("b", "resurrected", version=4), upsert("a", "three again", version=3))
    assert counts(broker.drain()) == (1, 0, 0, 0)
    broker.send(upsert("b", "back", version=6))
    assert counts(broker.drain()) == (2, 1, 0, 0)


@KINDS
def test_a_malformed_message_is_set_aside_and_the_rest_goes_on(broker: Broker, workspace: Workspace) -> None:
    broker.send(upsert("a", "good", version=1))
    broker.drain()
    broker.send(
        "{not json",
        "[1]",
        {"op": "upsert", "title": "nameless", "version": 1},
        upsert("x" * 9_000, "whose id Postgres cannot index", version=1),
        {"op": "replace", "id": "b", "version": 1},
        upsert("a", 7, version=2),
        upsert("c", "no version"),
        upsert("d", "fine", version=1),
    )
    done = broker.drain()
    assert (counts(done), done.unreadable) == ((2, 1, 0, 0), 7)
    assert broker.waiting() == 0
    assert broker.rows() == {"a": "good", "d": "fine"}, "the last good state stays"
    said = {failure.error for failure in workspace.failures.list(broker.collection.name)}
    assert said == {
        "not JSON (Expecting property name enclosed in double quotes at character 2); expected {op, id, fields…}",
        "found a list; expected {op, id, fields…}",
        "id is null; expected text of 1 to 2000 bytes or a whole number",
        f"id is the text '{'x' * 59}…; expected text of 1 to 2000 bytes or a whole number",
        "op: expected upsert or delete, found the text 'replace'",
        "title: expected text, found the number 7",
        "version: expected a whole number of 64 bits, found null",
    }
    retried = retry_failures(FakeStore(workspace, broker.collection, KeywordEncoder()))
    assert (retried.unreadable, retried.lost) == (0, 7), "they left the queue, which has nothing to be read again"
    broker.send(upsert("a", "mended", version=3), upsert("b", "mended", version=1), delete("c", version=1))
    assert broker.drain().unreadable == 4, "what can be named is forgotten when it is mended"


DRAIN = """
import os, signal, sys
from vector_assets.source.queue import QueueReader
from vector_assets.spec.load import load_text
from vector_assets.stores.workspace import open_workspace
from pathlib import Path

collection = load_text(sys.argv[1], "d", Path())
workspace = open_workspace()

class Dying(QueueReader):
    def open(self, own):
        queue = super().open(own)
        queue.acknowledge = lambda messages: os.kill(os.getpid(), signal.SIGKILL)
        return queue

workspace.raw.sync(collection, Dying(collection, collection.source))
"""


@pytest.mark.parametrize("kind", ["table", "redis"])
def test_killed_between_write_and_acknowledgement_each_message_is_embedded_once(
    broker: Broker, environment: dict[str, str], redis_url: str
) -> None:
    """Row A4: the second drain takes the same messages, changes no row and encodes nothing."""
    broker.send(upsert("a", "cat", version=1), upsert("b", "dog", version=1), upsert("a", "owl", version=2))
    name, source = broker.collection.name, broker.collection.source
    declaration = json.dumps(
        {
            "type": "vector_assets.CollectionComponent",
            "attributes": {
                "name": name,
                "source": source.model_dump(exclude_none=True),
                "fields": dict(broker.collection.fields),
                "spaces": {"text": {"fields": ["title"]}},
            },
        }
    )
    clean = {key: value for key, value in os.environ.items() if not key.startswith("VECTOR_ASSETS_")}
    given = {**clean, **environment, "QUEUE_URL": redis_url}
    done = subprocess.run([sys.executable, "-c", DRAIN, declaration], env=given, check=False)
    assert done.returncode == -signal.SIGKILL
    assert broker.rows() == {"a": "owl", "b": "dog"}, "it was committed"
    encoder = KeywordEncoder()
    FakeStore(broker.workspace, broker.collection, encoder).embed()
    assert sorted(encoder.encoded) == ["dog", "owl"]
    deadline = time.monotonic() + 20
    while broker.waiting() < 3 and time.monotonic() < deadline:
        time.sleep(0.2)
    assert broker.waiting() == 3, "nothing was acknowledged"
    again = broker.drain()
    assert counts(again) == (2, 0, 0, 0)
    assert broker.waiting() == 0
    FakeStore(broker.workspace, broker.collection, encoder).embed()
    assert sorted(encoder.encoded) == ["dog", "owl"]


def test_a_version_is_never_of_rows_that_moved_on(table: Broker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dying after a batch and before the rows are measured: the next drain says that they changed."""
    table.send(upsert("a", "cat", version=1))
    first = table.drain().version
    table.send(upsert("a", "dog", version=2))

    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(table.workspace.raw, "settle", die)
        table.drain()
    done = table.drain()
    assert counts(done) == (1, 0, 0, 0)
    assert done.version != first


def test_without_a_sequence_the_position_in_the_table_orders(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(
        f"create table {name}_inbox (position bigint generated always as identity primary key, message jsonb not null)"
    )
    broker = TableBroker(workspace, declared(declare, name), execute)
    broker.send(upsert("a", "one"), upsert("a", "two"), upsert(7, "number"), delete("b"))
    assert counts(broker.drain()) == (2, 2, 0, 0)
    assert broker.rows() == {"7": "number", "a": "two"}
    # A consumer that took the first message earlier and comes to apply it only now.
    execute(
        f"insert into {name}_inbox (position, message) overriding system value values (1, %s)",
        (json.dumps(upsert("a", "one")),),
    )
    assert counts(broker.drain()) == (2, 0, 0, 0)
    assert broker.rows()["a"] == "two"


def test_two_consumers_of_a_table_do_not_wait_for_each_other(table: Broker) -> None:
    table.send(*(upsert(f"r{i}", "cat", version=1) for i in range(5)))
    one = table.reader().open(table.workspace.database.url.libpq)
    assert len(one.take(3)) == 3
    assert table.drain().inserted == 2
    one.close()
    assert table.drain().inserted == 3


def test_plan_counts_what_waits(table: Broker, in_workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from vector_assets.stores import planning

    class Encoder(KeywordEncoder):
        pass

    monkeypatch.setattr(planning, "_loader", lambda *_: Encoder)
    assert plan(in_workspace, table.collection).rows == 0
    table.send(upsert("a", "cat", version=1), upsert("b", "cat", version=1))
    found = plan(in_workspace, table.collection)
    assert (found.rows, found.encode) == (2, 2)
    assert found.seconds is None, "messages are not looked at before they are taken"
    table.drain()
    table.send(upsert("c", "cat", version=1))
    found = plan(in_workspace, table.collection)
    assert found.rows == 3 and found.seconds


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("", "no table with position and message; expected one: create table {name}_inbox (position bigint"),
        ("create table {name}_inbox (id bigint)", "no table with position and message"),
    ],
)
def test_a_table_that_is_no_queue(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, prepare: str, message: str
) -> None:
    if prepare:
        execute(prepare.format(name=name))
    collection = declared(declare, name)
    with pytest.raises(SourceError) as caught:
        workspace.raw.sync(collection, open_source(collection))
    assert message.format(name=name) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://me:hunter2@127.0.0.1:9/0", "the broker cannot be read"),
        ("postgresql://me:hunter2@127.0.0.1:9/x", "Postgres cannot be read"),
        ("carrierpigeon://me:hunter2@h", "No such transport: carrierpigeon; expected the URL of a broker or Postgres"),
    ],
)
def test_a_queue_that_cannot_be_reached_is_said_without_its_password(
    workspace: Workspace, declare: Declare, name: str, url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("kombu")
    monkeypatch.setenv("QUEUE_URL", url)
    collection = declared(declare, name, url="{{ env.QUEUE_URL }}")
    with pytest.raises(SourceError) as caught:
        workspace.raw.sync(collection, open_source(collection))
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)
