"""The server outlives whoever uses it, and comes back from every kind of death with its rows."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from runtime_support import Query, RunPython, python_environment

from vector_assets.errors import DatabaseError
from vector_assets.runtime.pg_binaries import installed_binaries
from vector_assets.runtime.pg_place import recorded_place
from vector_assets.runtime.postgres import (
    Server,
    ensure_postgres,
    is_running,
    remove_postgres,
    server_status,
    stop_postgres,
)
from vector_assets.runtime.process_trees import MARK

ENSURE = """
import sys
from pathlib import Path
from vector_assets.runtime.postgres import ensure_postgres
server = ensure_postgres(Path(sys.argv[1]))
print(server.pid, server.socket_dir, flush=True)
"""


@contextlib.contextmanager
def killed_at_the_end(command: list[str], *, user: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that a failing test does not wait for."""
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, user=user) as process:
        try:
            yield process
        finally:
            process.kill()


def kill_postmaster(server: Server) -> None:
    assert server.pid
    os.kill(server.pid, signal.SIGKILL)


def test_start_use_stop_and_start_again_keeps_rows(home: Path, query: Query) -> None:
    assert server_status(home).state == "absent"
    server = ensure_postgres(home)
    query(server, "drop table if exists t; create table t as select 1 as a")
    status = server_status(home)
    assert (status.state, status.server, status.version) == ("running", server, "18")
    assert stop_postgres(home)
    assert (is_running(home), server_status(home).state) == (False, "stopped")
    assert not stop_postgres(home)
    assert query(ensure_postgres(home), "select a from t") == "1"


def test_it_listens_on_no_network_and_is_sized(used_home: Path, query: Query) -> None:
    server = ensure_postgres(used_home)
    assert query(server, "show listen_addresses") == ""
    assert query(server, "show max_connections") == "100"
    assert query(server, "show jit") == "off"
    assert query(server, "show timezone") == "UTC"
    assert (
        query(server, "select count(*) from pg_hba_file_rules where type <> 'local' and auth_method <> 'reject'") == "0"
    )
    assert psutil.Process(server.pid).net_connections(kind="tcp") == []


def test_it_keeps_running_when_the_process_that_started_it_ends(used_home: Path, run_python: RunPython) -> None:
    stop_postgres(used_home)
    begun = run_python(ENSURE, used_home)
    assert begun.returncode == 0, begun.stderr
    assert ensure_postgres(used_home).pid == int(begun.stdout.split()[0])


@pytest.mark.parametrize("code", [signal.SIGKILL, signal.SIGTERM])
def test_a_client_that_is_killed_takes_nothing_with_it(used_home: Path, query: Query, code: signal.Signals) -> None:
    stop_postgres(used_home)
    # Whoever runs the tests in the background may ignore SIGTERM, and children inherit that.
    default = "import signal; signal.signal(signal.SIGTERM, signal.SIG_DFL)\n"
    script = default + ENSURE + "import time; time.sleep(600)"
    command = [sys.executable, "-c", script, str(used_home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=python_environment()) as client:
        assert client.stdout
        client.stdout.readline()
        client.send_signal(code)
        try:
            client.wait(60)
        except subprocess.TimeoutExpired:
            held = Path(f"/proc/{client.pid}/status").read_text()
            client.kill()
            pytest.fail(
                f"the client outlived signal {code}: {[x for x in held.splitlines() if x[:3] in ('Sig', 'Sta')]}"
            )
    server = ensure_postgres(used_home)
    assert query(server, "select 1") == "1"
    assert stop_postgres(used_home)
    assert not psutil.pid_exists(server.pid or 0) or psutil.Process(server.pid).status() == "zombie"


def test_rows_survive_a_kill_of_the_postmaster(used_home: Path, query: Query) -> None:
    server = ensure_postgres(used_home)
    query(server, "drop table if exists t; create table t as select generate_series(1, 1000) as a")
    for _ in range(3):
        kill_postmaster(ensure_postgres(used_home))
    after = ensure_postgres(used_home)
    assert query(after, "select count(*) from t") == "1000"
    assert after.pid != server.pid


@contextlib.contextmanager
def busy_session(server: Server, query: Query) -> Iterator[None]:
    """A session that computes without an end, and without looking whether its postmaster lives."""
    busy = "do $$ declare i bigint := 0; begin while true loop i := i + 1; end loop; end $$"
    psql = installed_binaries().program("psql")
    with killed_at_the_end([str(psql), server.url(), "-c", busy]):
        running = "select count(*) from pg_stat_activity where query like 'do %' and state = 'active'"
        while query(server, running) != "1":
            time.sleep(0.05)
        yield


def test_a_session_that_goes_on_computing_does_not_block_the_restart(used_home: Path, query: Query) -> None:
    server = ensure_postgres(used_home)
    with busy_session(server, query):
        kill_postmaster(server)
        begun = time.monotonic()
        assert query(ensure_postgres(used_home), "select 1") == "1"
        assert time.monotonic() - begun < 15


def test_a_session_that_goes_on_computing_is_ended_by_stop(used_home: Path, query: Query) -> None:
    server = ensure_postgres(used_home)
    with busy_session(server, query):
        kill_postmaster(server)
        assert stop_postgres(used_home)
        assert not stop_postgres(used_home)


def test_a_stale_pid_file_that_names_a_stranger_harms_neither(used_home: Path, query: Query) -> None:
    server = ensure_postgres(used_home)
    query(server, "drop table if exists t; create table t as select 1 as a")
    place = recorded_place(used_home.resolve())
    assert place
    lines = place.pid_file.read_text().splitlines()
    stop_postgres(used_home)
    # PostgreSQL itself minds only strangers that it could signal: those of its own user.
    owner = place.data.stat().st_uid
    with killed_at_the_end(["sleep", "600"], user=owner if os.geteuid() == 0 else None) as stranger:
        place.pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        place.socket_lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n")
        assert not is_running(used_home)
        assert not stop_postgres(used_home)
        after = ensure_postgres(used_home)
        assert query(after, "select a from t") == "1"
        assert after.pid != stranger.pid
        assert stop_postgres(used_home)
        assert stranger.poll() is None


def test_a_pid_file_that_names_the_postgres_of_another_home_harms_neither(
    used_home: Path, tmp_path: Path, query: Query
) -> None:
    other_home = tmp_path / "other"
    try:
        other, server = ensure_postgres(other_home), ensure_postgres(used_home)
        place = recorded_place(used_home.resolve())
        assert place
        text = place.pid_file.read_text()
        kill_postmaster(server)
        time.sleep(0.2)
        place.pid_file.write_text(text.replace(str(server.pid), str(other.pid), 1))
        assert query(ensure_postgres(used_home), "select 1") == "1"
        stop_postgres(used_home)
        assert query(other, "select 1") == "1"
    finally:
        remove_postgres(other_home)


def test_a_server_whose_pid_file_was_deleted_can_still_be_stopped(used_home: Path) -> None:
    server = ensure_postgres(used_home)
    (server.data_dir / "postmaster.pid").unlink()
    assert stop_postgres(used_home)
    assert not is_running(used_home)


def test_a_server_whose_socket_was_cleaned_away_comes_back(used_home: Path, query: Query) -> None:
    server = ensure_postgres(used_home)
    query(server, "drop table if exists t; create table t as select 1 as a")
    for path in server.socket_dir.iterdir():
        path.unlink()
    server.socket_dir.rmdir()
    assert query(ensure_postgres(used_home), "select a from t") == "1"


def test_many_processes_at_once_get_one_server(home: Path) -> None:
    command = [sys.executable, "-c", ENSURE, str(home)]
    crowd = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=python_environment()) for _ in range(6)]
    answers = {process.communicate()[0] for process in crowd}
    assert [process.returncode for process in crowd] == [0] * 6
    assert len(answers) == 1
    assert home.joinpath("postgres.log").read_text().count("starting PostgreSQL") == 1


def test_many_processes_at_once_after_a_crash_get_one_server(used_home: Path) -> None:
    kill_postmaster(ensure_postgres(used_home))
    command = [sys.executable, "-c", ENSURE, str(used_home)]
    crowd = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=python_environment()) for _ in range(4)]
    assert len({process.communicate()[0] for process in crowd}) == 1


def test_a_kill_during_initdb_leaves_nothing_half_made(home: Path, query: Query) -> None:
    command = [sys.executable, "-c", ENSURE, str(home)]
    for _ in range(2):
        with subprocess.Popen(command, env=python_environment(), stderr=subprocess.DEVNULL) as first:
            deadline = time.monotonic() + 20
            while (pid := initdb_of(home)) is None:
                assert time.monotonic() < deadline
            first.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    server = ensure_postgres(home)
    assert query(server, "select 1") == "1"
    assert [path.name for path in server.data_dir.parent.glob("postgres.init-*")] == []


def initdb_of(home: Path) -> int | None:
    """The running initdb of this home, once it has begun to write."""
    place = recorded_place(home.resolve()) if home.exists() else None
    for half in place.folder.glob("postgres.init-*/base") if place else []:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(half.parent) in process.cmdline() and process.name() == "initdb":
                    return process.pid
    return None


def test_data_that_vanished_is_said_and_not_made_anew(used_home: Path, query: Query) -> None:
    server = ensure_postgres(used_home)
    query(server, "create table kept (n int)")
    stop_postgres(used_home)
    away = server.data_dir.with_name("away")
    server.data_dir.rename(away)
    with pytest.raises(DatabaseError, match=r"is gone, and the rows with it: put it back .*, or remove .*to start"):
        ensure_postgres(used_home)
    assert not server.data_dir.exists() and not list(server.data_dir.parent.glob("*.init-*"))
    away.rename(server.data_dir)
    assert query(ensure_postgres(used_home), "select count(*) from kept") == "0"


def test_data_of_another_version_is_refused_with_what_to_do(used_home: Path) -> None:
    version = ensure_postgres(used_home).data_dir / "PG_VERSION"
    stop_postgres(used_home)
    version.write_text("16\n")
    with pytest.raises(DatabaseError, match=r"was made by PostgreSQL 16, the installed one is 18.*pg_upgrade"):
        ensure_postgres(used_home)
    version.write_text("18\n")


def test_a_server_that_cannot_start_says_why_at_once(used_home: Path) -> None:
    configuration = ensure_postgres(used_home).data_dir / "postgresql.conf"
    stop_postgres(used_home)
    good = configuration.read_text()
    configuration.write_text(f"{good}\nno_such_setting = 1\n")
    begun = time.monotonic()
    with pytest.raises(DatabaseError, match=r"did not start: .*postgresql.conf.*; see .*postgres.log"):
        ensure_postgres(used_home)
    assert time.monotonic() - begun < 10
    configuration.write_text(good)


def test_the_supervisor_of_up_does_not_find_the_server_among_its_children(
    used_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_postgres(used_home)
    monkeypatch.setenv(MARK, "a" * 32)
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("PGOPTIONS", "-c no_such=1")
    server = ensure_postgres(used_home)
    process = psutil.Process(server.pid)
    assert MARK not in process.environ()
    assert process.ppid() != os.getpid()
    assert os.getsid(process.pid) != os.getsid(0)
