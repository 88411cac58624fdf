"""Queues that the tests send to."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator

import pytest
from brokers import Broker, InMemory, RedisBroker, TableBroker, declared
from fakes import Declare, Execute

from vector_assets.stores.workspace import Workspace


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own on a private socket."""
    pytest.importorskip("kombu", reason="kombu is not installed: pip install 'vector-assets[queue]'")
    pytest.importorskip("redis", reason="redis is not installed: pip install 'vector-assets[queue]'")
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed (Debian: apt-get install redis-server)")
    folder = tmp_path_factory.mktemp("redis")
    socket = folder / "r.sock"
    process = subprocess.Popen(
        [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while not socket.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        yield f"redis+socket://{socket}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def table(workspace: Workspace, declare: Declare, execute: Execute, name: str) -> Broker:
    execute(
        f"create table {name}_inbox (position bigint generated always as identity primary key, message text not null)"
    )
    return TableBroker(workspace, declared(declare, name, sequence="version", batch=3), execute)


@pytest.fixture
def fake(workspace: Workspace, declare: Declare, execute: Execute, name: str) -> Broker:
    return InMemory(workspace, declared(declare, name, sequence="version", batch=3), execute)


@pytest.fixture
def redis(
    workspace: Workspace,
    declare: Declare,
    execute: Execute,
    name: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Broker:
    monkeypatch.setenv("QUEUE_URL", redis_url)
    source = {"sequence": "version", "url": "{{ env.QUEUE_URL }}", "redelivery": 1, "batch": 3}
    broker = RedisBroker(workspace, declared(declare, name, **source), execute)
    broker.url = redis_url
    return broker
