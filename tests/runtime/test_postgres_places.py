"""Where data and sockets lie: private, short enough, apart for every home and user, and no parent changed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from runtime_support import Query, RunPython, python_environment

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.pg_binaries import installed_binaries
from vector_assets.runtime.pg_place import SERVICE_ROOT
from vector_assets.runtime.postgres import ensure_postgres, remove_postgres, server_status, stop_postgres

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs, and can become, a service user")
LIFE = """
import os, sys
from pathlib import Path
from vector_assets.runtime.pg_binaries import installed_binaries
from vector_assets.runtime.postgres import ensure_postgres, remove_postgres
import subprocess
home = Path(sys.argv[1])
server = ensure_postgres(home)
psql = installed_binaries().program("psql")
sql = "create extension vector; select '[1,2]'::vector <-> '[1,3]'"
print(subprocess.run([psql, server.url(), "-XAtqc", sql], capture_output=True, text=True).stdout.strip())
print(server.data_dir.stat().st_uid, server.data_dir, server.socket_dir)
if len(sys.argv) == 2:
    remove_postgres(home)
"""


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def may_connect(socket: Path, user: str | None) -> bool:
    psql = installed_binaries().program("psql")
    command = [psql, "-h", str(socket), "-U", "postgres", "-c", "select 1"]
    return subprocess.run(command, capture_output=True, check=False, user=user, cwd="/").returncode == 0


def test_a_long_home_gets_a_short_private_socket_folder(public_folder: Path, query: Query, normal_user: str) -> None:
    home = public_folder.joinpath(*["a-folder-with-a-rather-long-name"] * 5) / "home"
    home.parent.mkdir(parents=True)
    try:
        server = ensure_postgres(home)
        assert len(str(server.socket_dir / ".s.PGSQL.5432")) <= 107
        assert query(server, "select 1") == "1"
        assert mode(server.socket_dir) == 0o700
        assert may_connect(server.socket_dir, None)
        assert not may_connect(server.socket_dir, normal_user)
    finally:
        remove_postgres(home)


def test_a_long_home_of_a_normal_user(public_folder: Path, run_python: RunPython, normal_user: str) -> None:
    home = public_folder.joinpath(*["a-folder-with-a-rather-long-name"] * 5) / "home"
    home.mkdir(parents=True)
    os.chown(home, pwd.getpwnam(normal_user).pw_uid, -1)
    done = run_python(LIFE, home, user=normal_user)
    assert done.returncode == 0, done.stderr
    socket = done.stdout.split()[-1]
    assert socket.startswith("/tmp/vector_assets-")
    assert not Path(socket).exists()


def test_a_home_of_any_name(tmp_path: Path, query: Query) -> None:
    home = tmp_path / 'it\'s, "quoted" $HOME größe%20#&?'
    try:
        assert query(ensure_postgres(home), "select 1") == "1"
    finally:
        remove_postgres(home)


def test_root_and_a_normal_user_share_nothing(
    home: Path, public_folder: Path, query: Query, run_python: RunPython, normal_user: str
) -> None:
    ours = ensure_postgres(home)
    theirs = public_folder / "theirs"
    theirs.mkdir(mode=0o700)
    os.chown(theirs, pwd.getpwnam(normal_user).pw_uid, -1)
    done = run_python(LIFE, theirs, "keep", user=normal_user)
    assert done.returncode == 0, done.stderr
    distance, owner, data, socket = done.stdout.split()
    assert distance == "1"
    assert int(owner) == pwd.getpwnam(normal_user).pw_uid
    assert (data, socket) == (str(theirs / "postgres"), str(theirs / "socket"))
    assert not may_connect(ours.socket_dir, normal_user)
    with pytest.raises(RuntimeFault, match="run as that user"):
        ensure_postgres(theirs)
    intruder = run_python(LIFE, home, user=normal_user)
    assert "RuntimeFault" in intruder.stderr
    assert query(ours, "select 1") == "1"
    stop = "import sys; from pathlib import Path; from vector_assets.runtime.postgres import remove_postgres"
    assert run_python(f"{stop}; remove_postgres(Path(sys.argv[1]))", theirs, user=normal_user).returncode == 0
    assert sorted(path.name for path in theirs.iterdir()) == ["postgres.lock", "postgres.log"]


@as_root
def test_root_runs_the_server_as_the_service_user_and_changes_no_parent(public_folder: Path, query: Query) -> None:
    public_folder.chmod(0o700)
    home = public_folder / "project" / "home"
    try:
        server = ensure_postgres(home)
        assert query(server, "select 1") == "1"
        assert server.data_dir.is_relative_to(SERVICE_ROOT)
        owner = pwd.getpwuid(server.data_dir.stat().st_uid)
        assert owner.pw_uid != 0
        assert (mode(server.data_dir), mode(server.socket_dir)) == (0o700, 0o700)
        assert (mode(public_folder), mode(home)) == (0o700, 0o700)
        assert not may_connect(server.socket_dir, "nobody")
    finally:
        remove_postgres(home)
    assert not server.data_dir.parent.exists()


@as_root
def test_root_keeps_data_in_a_home_that_the_service_user_can_enter(public_folder: Path, query: Query) -> None:
    home = public_folder / "volume"
    home.mkdir()
    try:
        server = ensure_postgres(home)
        assert query(server, "select 1") == "1"
        assert server.data_dir == home / "postgres"
        assert mode(home) == 0o755
    finally:
        remove_postgres(home)


@as_root
def test_root_copies_binaries_that_the_service_user_cannot_reach(home: Path, public_folder: Path, query: Query) -> None:
    hidden = public_folder / "venv"
    package = installed_binaries().tree.parent
    shutil.copytree(installed_binaries().tree, hidden / package.name / installed_binaries().tree.name)
    shutil.copytree(package.with_name(f"{package.name}.libs"), hidden / f"{package.name}.libs")
    (hidden / package.name / "__init__.py").write_text("raise RuntimeError('the wrapper must not be imported')")
    public_folder.chmod(0o700)
    environment = python_environment()
    environment["PYTHONPATH"] = f"{hidden}{os.pathsep}{environment['PYTHONPATH']}"
    command = [sys.executable, "-c", LIFE, str(home), "keep"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "1"
    server = ensure_postgres(home)
    assert len(list(server.data_dir.parent.glob("binaries-18*"))) == 1
    assert query(server, "select 1") == "1"
    assert mode(public_folder) == 0o700


@as_root
def test_root_of_a_container_may_not_look_into_other_processes(home: Path, query: Query) -> None:
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("setpriv (util-linux) is not installed")
    code = """
import sys
from pathlib import Path
from vector_assets.runtime.postgres import ensure_postgres, stop_postgres
home = Path(sys.argv[1])
first = ensure_postgres(home)
(home / "postgres.lock").unlink()
assert ensure_postgres(home) == first
assert stop_postgres(home) and not stop_postgres(home)
print(ensure_postgres(home).pid)
"""
    bounded = [setpriv, "--bounding-set", "-sys_ptrace", "--inh-caps", "-sys_ptrace"]
    command = [*bounded, sys.executable, "-c", code, str(home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=python_environment())
    assert done.returncode == 0, done.stderr
    assert query(ensure_postgres(home), "select 1") == "1"


def test_a_moved_home_keeps_its_rows_and_its_running_server(tmp_path: Path, query: Query) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    query(ensure_postgres(before), "create table t as select 1 as a")
    before.rename(after)
    try:
        assert query(ensure_postgres(after), "select a from t") == "1"
        assert stop_postgres(after)
        assert query(ensure_postgres(after), "select a from t") == "1"
    finally:
        remove_postgres(after)


def test_a_copied_home_has_a_server_of_its_own(home: Path, tmp_path: Path, query: Query) -> None:
    first = ensure_postgres(home)
    copy = tmp_path / "copy"
    copy.mkdir(mode=0o700)
    shutil.copy(home / "postgres.json", copy)
    try:
        second = ensure_postgres(copy)
        assert (second.data_dir, second.socket_dir, second.pid) != (
            first.data_dir,
            first.socket_dir,
            first.pid,
        )
        assert second.data_dir != first.data_dir
        assert stop_postgres(copy)
        assert query(first, "select 1") == "1"
    finally:
        remove_postgres(copy)


@as_root
def test_a_home_that_was_deleted_and_made_again_starts_empty(home: Path, query: Query) -> None:
    first = ensure_postgres(home)
    query(first, "create table t as select 1 as a")
    shutil.rmtree(home)
    try:
        second = ensure_postgres(home)
        assert query(second, "select to_regclass('t') is null") == "t"
        assert not may_connect(first.socket_dir, None)
    finally:
        shutil.rmtree(first.data_dir.parent)


def test_looking_changes_nothing(tmp_path: Path) -> None:
    assert server_status(tmp_path).state == "absent"
    assert not stop_postgres(tmp_path)
    assert list(tmp_path.iterdir()) == []
