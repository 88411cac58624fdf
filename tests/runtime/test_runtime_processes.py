"""Children are watched, ended with all their descendants, and found again after a kill -9 of their parent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from runtime_support import python_environment

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.ports import find_free_port
from vector_assets.runtime.process_trees import is_gone
from vector_assets.runtime.processes import Child, Supervisor, supervise, sweep

# Starts a grandchild in a session of its own (deaf: it ignores SIGTERM), writes down both pids, and stays.
FAMILY = """
import os, signal, subprocess, sys, time
deaf = "trap '' TERM; " if sys.argv[2:] else ""
child = subprocess.Popen(["sh", "-c", deaf + "echo up; sleep 600; true"], start_new_session=True,
    stdout=subprocess.PIPE)
child.stdout.readline()
with open(sys.argv[1] + ".half", "w") as file: file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".half", sys.argv[1])
time.sleep(600)
"""
SUPERVISOR = """
import sys
from pathlib import Path
from vector_assets.runtime.processes import Child, supervise
home, script, *rest = sys.argv[1:]
supervise(Path(home), [Child("family", [sys.executable, "-c", script, *rest], grace=0.5)])
"""


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def up(base: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor in a process of its own, with a family below it."""
    deaf = ["deaf"] if getattr(request, "param", "") == "deaf" else []
    command = [sys.executable, "-c", SUPERVISOR, str(base), FAMILY, str(tmp_path / "pids"), *deaf]
    process = subprocess.Popen(command, env=python_environment())
    yield process
    process.kill()
    process.wait()
    sweep(base)


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.03)


def pids_in(path: Path) -> list[int]:
    wait_for(path.exists)
    return [int(word) for word in path.read_text().split()]


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or is_gone(psutil.Process(pid))


def sleeper(name: str = "sleeper", **given: object) -> Child:
    return Child(name, ["sleep", "600"], grace=0.5, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("code", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_whole_family(
    up: subprocess.Popen[bytes], base: Path, tmp_path: Path, code: signal.Signals
) -> None:
    pids = pids_in(tmp_path / "pids")
    up.send_signal(code)
    assert up.wait(timeout=20) == 0
    assert [gone(pid) for pid in pids] == [True, True]
    assert not list((base / "run").glob("*.json"))


@pytest.mark.parametrize("up", ["deaf"], indirect=True)
def test_after_a_kill_the_sweep_ends_what_was_left(up: subprocess.Popen[bytes], base: Path, tmp_path: Path) -> None:
    pids = pids_in(tmp_path / "pids")
    up.kill()
    up.wait()
    assert [gone(pid) for pid in pids] == [False, False]
    assert sweep(base) == ["family"]
    assert [gone(pid) for pid in pids] == [True, True]
    assert sweep(base) == []


def test_a_grandchild_is_found_when_its_parent_is_gone_too(
    up: subprocess.Popen[bytes], base: Path, tmp_path: Path
) -> None:
    parent, grandchild = pids_in(tmp_path / "pids")
    up.kill()
    up.wait()
    os.kill(parent, signal.SIGKILL)
    wait_for(lambda: gone(parent))
    assert not gone(grandchild)
    sweep(base)
    assert gone(grandchild)


def test_a_reused_pid_is_left_alone(base: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as stranger:
        (base / "run").mkdir()
        record = {"name": "web", "mark": "0" * 32, "pid": stranger.pid, "created": time.time() - 3600}
        (base / "run" / "web.json").write_text(json.dumps(record))
        swept = sweep(base)
        alive = stranger.poll() is None
        stranger.kill()
    assert (swept, alive) == ([], True)


def test_a_spoilt_record_does_not_stop_the_sweep(base: Path) -> None:
    (base / "run").mkdir()
    (base / "run" / "web.json").write_text("{half")
    assert sweep(base) == []


def test_a_running_supervisor_is_not_swept(up: subprocess.Popen[bytes], base: Path, tmp_path: Path) -> None:
    pids = pids_in(tmp_path / "pids")
    with pytest.raises(RuntimeFault, match="is running in this home already"):
        sweep(base)
    with pytest.raises(RuntimeFault, match="is running in this home already"), Supervisor(base, [sleeper()]):
        pass
    assert [gone(pid) for pid in pids] == [False, False]


def test_a_child_that_dies_is_told_with_its_last_words_and_the_rest_ends(base: Path) -> None:
    failing = Child("web", ["sh", "-c", "sleep 0.3; echo no such table >&2; exit 3"])
    supervisor = Supervisor(base, [sleeper(), failing])
    with pytest.raises(RuntimeFault, match=r"web ended with code 3: no such table; see .*logs/web.log"), supervisor:
        other = json.loads((base / "run" / "sleeper.json").read_text())["pid"]
        supervisor.watch()
    assert gone(other)


def test_ready_means_that_it_answers(base: Path) -> None:
    port = find_free_port()
    server = Child(
        "web",
        ["sh", "-c", f"sleep 0.5; exec {sys.executable} -m http.server {port} --bind 127.0.0.1"],
        ready_url=f"http://127.0.0.1:{port}/",
        cwd=base,
    )
    begun = time.monotonic()
    with Supervisor(base, [server]):
        assert time.monotonic() - begun > 0.5


def test_one_that_never_answers_is_told_and_ended(base: Path) -> None:
    child = sleeper("web", ready_url=f"http://127.0.0.1:{find_free_port()}/", ready_seconds=0.5)
    with pytest.raises(RuntimeFault, match=r"web does not answer at http.* after \d s; see"), Supervisor(base, [child]):
        pass
    assert not list((base / "run").glob("*.json"))


def test_a_program_that_does_not_exist_is_one_line_and_nothing_stays(base: Path) -> None:
    children = [sleeper(), Child("web", ["/no/such"])]
    with pytest.raises(RuntimeFault, match=r"cannot start web \(/no/such\): No such file"), Supervisor(base, children):
        pass
    assert not list((base / "run").glob("*.json"))


def test_environment_and_log_of_a_child(base: Path, tmp_path: Path) -> None:
    log = tmp_path / "own.log"
    child = Child("web", ["sh", "-c", 'echo "$GREETING"; sleep 600'], env={"GREETING": "hello"}, log=log, grace=1)
    with Supervisor(base, [child]):
        wait_for(lambda: log.exists() and log.read_text() == "hello\n")
    assert log.stat().st_mode & 0o777 == 0o600


def test_supervise_tells_when_all_are_ready_and_restores_the_handlers(base: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    told: list[str] = []

    def ready() -> None:
        told.append("ready")
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGTERM)).start()

    supervise(base, [sleeper()], on_ready=ready)
    assert told == ["ready"]
    assert signal.getsignal(signal.SIGTERM) is before
