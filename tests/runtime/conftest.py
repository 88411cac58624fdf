"""Real homes, real servers, real users. Whatever a test made is removed, under /var/lib as well."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from runtime_support import Query, RunPython, interpreter, python_environment

from vector_assets.runtime.pg_binaries import installed_binaries
from vector_assets.runtime.postgres import Server, ensure_postgres, remove_postgres


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own settings must not decide a test."""
    for name in ("HOME", "PROJECT", "ARTIFACTS"):
        monkeypatch.delenv(f"VECTOR_ASSETS_{name}", raising=False)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A home that does not exist yet; its server and data are gone afterwards."""
    folder = tmp_path / "home"
    yield folder
    if folder.exists():
        remove_postgres(folder)


@pytest.fixture(scope="module")
def used_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A home whose data was made before and is shared by the tests of a file; its server runs or not."""
    folder = tmp_path_factory.mktemp("used") / "home"
    ensure_postgres(folder)
    yield folder
    remove_postgres(folder)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user can traverse, as pytest's own cannot be."""
    folder = Path(tempfile.mkdtemp(prefix="va-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def query() -> Query:
    """Runs SQL with the wheel's psql and gives what it prints; raises when it fails."""

    def run(server: Server, sql: str, *, user: str | None = None) -> str:
        psql = installed_binaries().program("psql")
        command = [psql, server.url(), "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql]
        done = subprocess.run(command, capture_output=True, text=True, user=user, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture
def normal_user() -> str:
    """A user who is neither root nor the service user; needs root to become it."""
    if os.geteuid() != 0:
        pytest.skip("only root can run something as another user")
    try:
        return pwd.getpwnam("nobody").pw_name
    except KeyError:
        pytest.skip("this machine has no user nobody")


@pytest.fixture
def run_python() -> RunPython:
    """Runs Python code with our package in a process of its own, also as another user."""

    def run(code: str, *arguments: object, user: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [interpreter(user), "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else [],
            cwd="/",
            env=python_environment(),
        )

    return run
