"""Where the server of a home keeps its data and its socket, decided once and recorded in the home."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.locks import write_record
from vector_assets.runtime.pg_account import Account, account_for, run

PORT = 5432
RECORD = "postgres.json"
SERVICE_ROOT = Path("/var/lib/vector_assets")
# Not TMPDIR, which may be long, nor XDG_RUNTIME_DIR, which goes when the user logs out.
_TEMPORARY = Path("/tmp")  # noqa: S108
_LONGEST_SOCKET = 107
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Place:
    """The folders of one home's server. `folder` holds data and locks; the home holds record and log."""

    home: Path
    data: Path
    socket: Path

    @property
    def folder(self) -> Path:
        """What holds the data, its temporary forerunners, and copied binaries."""
        return self.data.parent

    @property
    def alive(self) -> Path:
        """The file that every process of the server keeps locked for as long as it lives."""
        return self.data.with_name("postgres.alive")

    @property
    def log(self) -> Path:
        """What the server writes."""
        return self.home / "postgres.log"

    @property
    def pid_file(self) -> Path:
        """PostgreSQL's own pid file."""
        return self.data / "postmaster.pid"

    @property
    def socket_lock(self) -> Path:
        """PostgreSQL's own lock file beside its socket."""
        return self.socket / f".s.PGSQL.{PORT}.lock"


def recorded_place(home: Path) -> Place | None:
    """The place on record, or None: no server was made here, or this home is a copy of another."""
    path = home / RECORD
    try:
        if path.lstat().st_uid != os.geteuid():
            raise RuntimeFault(
                f"{path} belongs to another user: run as that user, or choose another VECTOR_ASSETS_HOME"
            )
        record = json.loads(path.read_text())
        was, data, socket = Path(record["home"]), Path(record["data"]), Path(record["socket"])
    except FileNotFoundError:
        return None
    except PermissionError:
        raise RuntimeFault(f"{home} belongs to another user: choose another VECTOR_ASSETS_HOME") from None
    except (ValueError, KeyError) as error:
        raise RuntimeFault(f"{path} is not readable ({error}): remove it to start anew") from error
    if was == home:
        return Place(home, data, socket)
    if (was / RECORD).exists():
        return None
    # The home was moved. What lay inside went along; what lay outside is still where it was.
    moved = [home / path.relative_to(was) if path.is_relative_to(was) else path for path in (data, socket)]
    return Place(home, *moved) if _fits(moved[1]) else Place(home, moved[0], _short_folder())


def decide_place(home: Path) -> tuple[Place, Account]:
    """Choose and record a place. Call under the home's lock."""
    had_data = has_data_on_record(home)
    place = recorded_place(home) or _new_place(home)
    account = account_for(place.data)
    place = replace(place, socket=_socket_folder(place.socket, account))
    _write(place, has_data=had_data)
    return place, account


def has_data_on_record(home: Path) -> bool:
    """Whether data was once made in the place on record: without it, rows are lost or lie elsewhere."""
    return recorded_place(home) is not None and bool(json.loads((home / RECORD).read_text()).get("has_data"))


def record_data(place: Place) -> None:
    """Note that the place has data from now on."""
    if not has_data_on_record(place.home):
        _write(place, has_data=True)


def _write(place: Place, *, has_data: bool) -> None:
    folders = {key: str(value) for key, value in asdict(place).items()}
    write_record(place.home / RECORD, {**folders, **({"has_data": True} if has_data else {})})


def deserted_places(home: Path) -> list[Place]:
    """Where an earlier home of this name, since deleted, had root's service user keep its data."""
    folders = [folder for folder in _service_folders(home) if (folder / "postgres").exists()]
    return [Place(home, folder / "postgres", folder / "socket") for folder in folders]


def remove_folder(path: Path) -> None:
    """Delete a folder; what a dying process still writes into it is left for the next time."""
    shutil.rmtree(path, ignore_errors=True)


def _new_place(home: Path) -> Place:
    account = account_for(home / "postgres")
    if account.is_us or run(["/usr/bin/test", "-x", home], account)[0] == 0:
        socket = home / "socket"
        return Place(home, home / "postgres", socket if _fits(socket) else _short_folder())
    # A home that was deleted and made again starts empty; its earlier data is not ours to delete.
    folder = next(folder for folder in _service_folders(home) if not (folder / "postgres").exists())
    try:
        for made in (SERVICE_ROOT, folder):
            if not made.exists():
                made.mkdir(parents=True)
                made.chmod(0o711)
    except OSError as error:
        raise RuntimeFault(
            f"cannot make {folder}: {error.strerror}; do not run as root, or set VECTOR_ASSETS_DATABASE_URL"
        ) from error
    return Place(home, folder / "postgres", folder / "socket")


def _fits(folder: Path) -> bool:
    """Whether a socket there is short enough for the kernel, and plain enough for lists and URLs of hosts."""
    path = str(folder / f".s.PGSQL.{PORT}")
    return len(os.fsencode(path)) <= _LONGEST_SOCKET and bool(_PLAIN.fullmatch(path))


def _short_folder() -> Path:
    """A new folder, 0700, under a name nobody could have taken before."""
    return Path(tempfile.mkdtemp(prefix="vector_assets-", dir=_TEMPORARY))


def _socket_folder(folder: Path, account: Account) -> Path:
    """The folder, made private to the server's user; under /tmp another one if a stranger has it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    stat = folder.lstat()
    if stat.st_uid == os.geteuid() != account.uid and not folder.is_symlink():
        os.chown(folder, account.uid, account.gid)
        stat = folder.lstat()
    # This folder is the only lock on the server's door.
    if not folder.is_symlink() and stat.st_uid == account.uid and not stat.st_mode & 0o077:
        return folder
    if folder.parent == _TEMPORARY:
        return _socket_folder(_short_folder(), account)
    raise RuntimeFault(f"{folder} is not a private folder of user {account.name} (mode 0700): remove it")


def _service_folders(home: Path) -> Iterator[Path]:
    name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    yield SERVICE_ROOT / name
    yield from (SERVICE_ROOT / f"{name}-{number}" for number in range(2, 100))
