"""One server process: is it ours, start it, stop it. A pid alone is never believed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

from vector_assets.errors import DatabaseError, RuntimeFault
from vector_assets.runtime.locks import open_private, try_lock
from vector_assets.runtime.pg_account import Account, popen
from vector_assets.runtime.pg_binaries import Binaries, installed_binaries
from vector_assets.runtime.pg_place import PORT, Place
from vector_assets.runtime.process_trees import is_gone

RETRY_SECONDS = 30.0
RECOVERY_SECONDS = 900.0
_LARGEST_LOG = 8 * 1024**2
# What a start says while processes of a crashed server are still on their way out.
_PASSING = ("lock file", "shared memory block", "already in use")


def answers(place: Place) -> bool:
    """The truth test: whether a server accepts connections on our socket."""
    if not place.socket.is_dir():
        return False
    isready = installed_binaries().program("pg_isready")
    asked = ["--quiet", f"--port={PORT}", "--dbname=postgres", "--username=postgres", "--timeout=3"]
    command = [str(isready), *asked, f"--host={place.socket}"]
    environment = {"PATH": os.defpath}
    return subprocess.run(command, check=False, env=environment, stdin=subprocess.DEVNULL).returncode == 0


def postmaster(place: Place) -> psutil.Process | None:
    """The live postgres that works in our data folder: the one its pid file names, or any other."""
    try:
        owner = place.data.stat().st_uid
    except FileNotFoundError:
        return None
    for pid in (recorded_pid(place), *psutil.pids()):
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            if pid and process.uids().real == owner and _serves(process, place.data):
                return process
    return None


def recorded_pid(place: Place) -> int | None:
    """What postmaster.pid says, true or not."""
    try:
        return int(place.pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None


def start(place: Place, account: Account, binaries: Binaries, settings: dict[str, str]) -> None:
    """Start the server, detached, and return when it accepts connections. Call under the home's lock."""
    deadline = time.monotonic() + RETRY_SECONDS
    while True:
        alive = _outlive_the_dead(place, deadline=deadline)
        if alive is None:
            return
        written = _open_log(place)
        try:
            pid = _launch(place, account, binaries, settings, alive=alive)
        finally:
            os.close(alive)
        if _await(place, pid):
            return
        said = _said(place, since=written)
        if time.monotonic() > deadline or not any(words in said for words in _PASSING):
            raise DatabaseError(f"the embedded Postgres did not start: {_last_words(said)}; see {place.log}")
        time.sleep(0.3)


def stop(place: Place, *, fast_seconds: float = 60.0) -> bool:
    """End the server in order, then by force, with every process of it; True when there was one."""
    process = postmaster(place)
    if process is None:
        return _kill_orphans(place)
    # psutil refuses to signal when the number has passed to another process in between.
    for code, seconds in ((signal.SIGINT, fast_seconds), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(code)
        if _await_end(process, place, seconds=seconds):
            return True
    raise RuntimeFault(f"postgres (pid {process.pid}) of {place.data} does not end; see {place.log}")


def _serves(process: psutil.Process, data: Path) -> bool:
    """Whether this is a postmaster working in the data folder."""
    # The processes that a postmaster makes rename themselves to "postgres: what they do".
    words = process.cmdline()
    if is_gone(process) or not words or Path(words[0]).name != "postgres":
        return False
    try:
        return _works_in(process, data)
    except psutil.AccessDenied:
        # Root of a container may not look into other users' processes; their command line is open.
        return words[1:3] == ["-D", str(data)]


def _works_in(process: psutil.Process, data: Path) -> bool:
    """Whether its program is postgres and its working folder the data folder, by whatever name."""
    try:
        return Path(process.exe()).name == "postgres" and Path(process.cwd()).samefile(data)
    except OSError:
        return False


def _kill_orphans(place: Place) -> bool:
    """End what a dead postmaster left computing: it would keep the data folder in use until it is done."""
    killed = False
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if not is_gone(process) and _works_in(process, place.data):
                process.kill()
                killed = True
    return killed


def _outlive_the_dead(place: Place, *, deadline: float) -> int | None:
    """Wait until no process of an earlier server lives, and clear its lock files; None when one answers.

    Every process of a server we start inherits a locked file. So the lock tells zombies, reused pids, and
    even servers in other containers on the same folder apart, which numbers in files cannot.
    """
    while True:
        lock = try_lock(place.alive)
        living = postmaster(place)
        if lock is not None and living is None:
            for stale in (place.pid_file, place.socket_lock):
                stale.unlink(missing_ok=True)
            return lock
        if lock is not None:
            os.close(lock)
        elif living is None:
            _kill_orphans(place)
        if answers(place):
            return None
        if living is not None and not place.socket_lock.exists():
            # It runs, but whoever cleans temporary folders took its socket: nobody can reach it any more.
            stop(place)
            continue
        if time.monotonic() > deadline:
            who = f"pid {living.pid}" if living else "a process in another container, or one that does not end"
            raise DatabaseError(f"{place.data} is in use by a Postgres that does not answer ({who}); see {place.log}")
        time.sleep(0.1)


def _launch(place: Place, account: Account, binaries: Binaries, settings: dict[str, str], *, alive: int) -> int:
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    # A shell in between hands the server to init: as our child it would stay a zombie after a crash.
    shell = ["/bin/sh", "-c", 'exec "$@" >&2 & echo $!', "sh"]
    command = [*shell, str(binaries.program("postgres")), "-D", str(place.data), *options]
    with place.log.open("ab") as log, popen(command, account, stderr=log, keep=[alive]) as launcher:
        output, _ = launcher.communicate()
    return int(output)


def _await(place: Place, pid: int) -> bool:
    """Whether the server came to accept connections; False when its process ended instead."""
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return False
    deadline = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < deadline:
        if answers(place):
            return True
        if is_gone(process):
            return False
        time.sleep(0.03)
    raise DatabaseError(f"the embedded Postgres is still recovering after {RECOVERY_SECONDS:.0f} s; see {place.log}")


def _await_end(process: psutil.Process, place: Place, *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if is_gone(process):
            if (lock := try_lock(place.alive)) is not None:
                os.close(lock)
                return True
            # An orderly postmaster goes last: what is left now was left by a crash.
            _kill_orphans(place)
        time.sleep(0.03)
    return False


def _open_log(place: Place) -> int:
    """Make the log ours, set an overlong one aside, and give its length."""
    os.close(open_private(place.log, os.O_WRONLY))
    if place.log.stat().st_size > _LARGEST_LOG:
        place.log.replace(place.log.with_suffix(".log.1"))
        os.close(open_private(place.log, os.O_WRONLY))
    return place.log.stat().st_size


def _said(place: Place, *, since: int) -> str:
    with place.log.open("rb") as file:
        file.seek(since)
        return file.read().decode(errors="replace")


def _last_words(text: str) -> str:
    lines = [line for line in text.splitlines() if "FATAL" in line or "ERROR" in line] or text.splitlines()
    return lines[-1].strip() if lines else "it said nothing"
