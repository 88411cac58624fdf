"""`vector-assets up` for real: the pages, who may see them, how it ends, and what a kill leaves."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from up_process import Up, logs, marked, memory, start_up

from vector_assets.runtime.postgres import remove_postgres

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("up") / "home"
    yield folder
    for process in marked(folder):
        process.kill()
    remove_postgres(folder)


@pytest.fixture(scope="module")
def up(home: Path) -> Iterator[Up]:
    started = Up(home)
    yield started
    if started.process.poll() is None:
        started.process.kill()


def test_both_pages_answer_within_a_minute(up: Up) -> None:
    rss, pss = memory(up.family())
    sys.stdout.write(f"\nready after {up.seconds:.1f} s; {len(up.family())} processes, {rss} MiB RSS, {pss} MiB PSS\n")
    assert up.seconds < 60 and pss < 2048
    assert up.ask("Dagster", "/server_info", token=up.token).data["dagster_webserver_version"]
    assert up.ask("MLflow", "/health", token=up.token).body == "OK"
    assert "MLflow" in up.ask("MLflow", "/", token=up.token).body


@pytest.mark.parametrize("page", ["Dagster", "MLflow"])
def test_nobody_gets_in_without_the_token_or_by_another_name(up: Up, page: str) -> None:
    assert up.ask(page, "/").status == 401
    assert up.ask(page, "/", token="x" * 32).status == 401
    assert up.ask(page, "/health", Host="attacker.example", token=up.token).status == 400
    assert up.ask(page, "/graphql", body={}, token=up.token, Origin="http://localhost:9").status == 403


@pytest.mark.parametrize("page", ["Dagster", "MLflow"])
def test_the_printed_address_leaves_the_token_as_a_cookie(up: Up, page: str) -> None:
    first = up.ask(page, f"/?token={up.token}")
    cookie = first.headers["set-cookie"].partition(";")[0]
    assert (first.status, first.headers["location"]) == (303, "/")
    again = up.ask(page, "/", Cookie=cookie, Origin="http://localhost:9")
    assert again.status == 200 and "access-control-allow-origin" not in {name.lower() for name in again.headers}
    assert up.token not in logs(up.home)


def test_the_code_location_is_loaded_and_the_daemon_lives(up: Up) -> None:
    location = up.graphql("{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }")
    assert location["workspaceOrError"]["locationEntries"] == [{"name": "vector_assets", "loadStatus": "LOADED"}]
    assets = up.graphql("{ assetNodes { groupName assetKey { path } } }")["assetNodes"]
    assert ["index", "python_functions"] in [asset["assetKey"]["path"] for asset in assets]
    deadline = time.monotonic() + 60
    unhealthy: list[str] = ["?"]
    while unhealthy and time.monotonic() < deadline:
        time.sleep(0.5)
        health = up.graphql("{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }")
        daemons = health["instance"]["daemonHealth"]["allDaemonStatuses"]
        unhealthy = [each["daemonType"] for each in daemons if each["required"] and not each["healthy"]]
    assert not unhealthy, logs(up.home)


def test_a_second_up_in_the_same_home_is_refused(up: Up, home: Path) -> None:
    second = start_up(home, up.ports)
    said, _ = second.communicate(timeout=60)
    assert second.returncode == 2 and said.count("\n") == 1 and "running in this home already" in said


def test_ctrl_c_ends_everything(up: Up, home: Path) -> None:
    processes = up.family()
    began = time.monotonic()
    assert up.interrupt() == 0
    sys.stdout.write(f"\nended after {time.monotonic() - began:.1f} s\n")
    assert len(processes) >= 5 and not marked(home)
    for port in up.ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))


def test_a_port_in_use_is_said_in_one_line(up: Up, home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = start_up(home, (up.ports[0], port))
        said, _ = refused.communicate(timeout=60)
    assert refused.returncode == 2 and said.count("\n") == 1
    assert f"port {port} in use" in said and "--mlflow-port" in said


def test_after_a_kill_the_next_up_sweeps_and_works(up: Up, home: Path) -> None:
    killed = Up(home, ports=up.ports)
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    left = {process.pid for process in marked(home)}
    assert left, "nothing was left, so nothing is tested"
    again = Up(home, ports=up.ports)
    try:
        assert again.token != killed.token
        assert not left & {process.pid for process in marked(home)}
        assert again.ask("Dagster", "/server_info", token=killed.token).status == 401
        assert again.graphql("{ runsOrError { __typename } }") == {"runsOrError": {"__typename": "Runs"}}
    finally:
        assert again.interrupt() == 0
    assert not marked(home)
