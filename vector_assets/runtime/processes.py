"""A small supervisor: start a few long-running children, watch them, end them with all their descendants."""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.locks import locked, open_private
from vector_assets.runtime.process_trees import MARK, Record, await_gone, end, family, records, write_down

_STRAGGLER_SECONDS = 3.0
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
# A proxy of the surroundings has no business between us and our own children.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Child:
    """A process to keep running: `env` is added to ours, output goes to `log` or logs/NAME.log in the home.

    It counts as ready when `ready_url` answers below 500, asked with `ready_token` where there is one;
    `grace` is the time it gets to end after SIGTERM.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    cwd: Path | None = None
    ready_url: str | None = None
    ready_token: str = field(default="", repr=False)
    ready_seconds: float = 60.0
    grace: float = 10.0


@dataclass(frozen=True)
class _Running:
    child: Child
    process: subprocess.Popen[bytes]
    record: Record
    log: Path


class Supervisor:
    """Runs children while its `with` block lasts; one supervisor per home at a time."""

    def __init__(self, home: Path, children: Sequence[Child]) -> None:
        self._home = home
        self._children = children
        self._running: list[_Running] = []
        self._asked_to_stop = threading.Event()
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Sweep what an earlier one left, start all children, and wait until they are ready."""
        try:
            self._held.enter_context(_only_one(self._home))
            _end_recorded(self._home)
            for child in self._children:
                self._running.append(_spawn(self._home, child))
            for running in self._running:
                self._await_ready(running)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the children, however the block ended."""
        self.stop()

    def watch(self) -> None:
        """Return when asked to stop; raise when a child ends by itself."""
        while not self._asked_to_stop.wait(0.2):
            self._raise_for_the_dead()

    def ask_to_stop(self) -> None:
        """Let `watch` return; safe in a signal handler and from another thread."""
        self._asked_to_stop.set()

    def stop(self) -> None:
        """End the children: their heads first, which know how to end their own, then what is left."""
        families = [(running, family(running.record)) for running in self._running]
        for running, _ in families:
            if running.process.poll() is None:
                running.process.terminate()
        deadline = time.monotonic() + max((running.child.grace for running in self._running), default=0.0)
        for running, members in families:
            await_gone(members, seconds=max(deadline - time.monotonic(), 0.0))
            end(members | family(running.record), grace=_STRAGGLER_SECONDS)
            running.process.wait()
            _record_path(self._home, running.child.name).unlink(missing_ok=True)
        self._running.clear()
        self._held.close()

    def _await_ready(self, running: _Running) -> None:
        url = running.child.ready_url
        deadline = time.monotonic() + running.child.ready_seconds
        while url is not None and not self._asked_to_stop.is_set():
            self._raise_for_the_dead()
            if _answers(url, running.child.ready_token):
                return
            if time.monotonic() > deadline:
                waited = f"{running.child.ready_seconds:.0f} s"
                raise RuntimeFault(f"{running.child.name} does not answer at {url} after {waited}; see {running.log}")
            time.sleep(0.1)

    def _raise_for_the_dead(self) -> None:
        for running in self._running:
            code = running.process.poll()
            if code is not None:
                said = _last_line(running.log)
                raise RuntimeFault(f"{running.child.name} ended with code {code}: {said}; see {running.log}")


def supervise(home: Path, children: Sequence[Child], *, on_ready: Callable[[], None] | None = None) -> None:
    """Run the children until SIGINT, SIGTERM or SIGHUP, then end them; raise when one ends by itself."""
    supervisor = Supervisor(home, children)

    def ask(_code: int, _frame: FrameType | None) -> None:
        supervisor.ask_to_stop()

    codes = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [(code, signal.signal(code, ask)) for code in codes]
    try:
        with supervisor:
            if on_ready is not None:
                on_ready()
            supervisor.watch()
    finally:
        for code, handler in before:
            signal.signal(code, handler)


def sweep(home: Path) -> list[str]:
    """End what a supervisor that was killed left behind; the names of the children concerned."""
    with _only_one(home):
        return _end_recorded(home)


def _end_recorded(home: Path) -> list[str]:
    found = [(record, family(record)) for record in records(_run_folder(home))]
    for record, members in found:
        end(members, grace=_STRAGGLER_SECONDS)
        # What was being started while we looked.
        end(family(record), grace=0.0)
        _record_path(home, record.name).unlink(missing_ok=True)
    return [record.name for record, members in found if members]


def _spawn(home: Path, child: Child) -> _Running:
    if not _NAME.fullmatch(child.name):
        raise RuntimeFault(f"a child cannot be called {child.name!r}: expected [a-z][a-z0-9_-]*")
    mark = secrets.token_hex(16)
    log = child.log or home / "logs" / f"{child.name}.log"
    log.parent.mkdir(mode=0o700, exist_ok=True)
    descriptor = open_private(log, os.O_WRONLY | os.O_APPEND)
    try:
        process = subprocess.Popen(
            list(child.command),
            env={**os.environ, **child.env, MARK: mark},
            cwd=child.cwd,
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            start_new_session=True,
        )
    except OSError as error:
        raise RuntimeFault(f"cannot start {child.name} ({child.command[0]}): {error.strerror}") from error
    finally:
        os.close(descriptor)
    record = write_down(_run_folder(home), name=child.name, mark=mark, pid=process.pid)
    return _Running(child, process, record, log)


@contextmanager
def _only_one(home: Path) -> Iterator[None]:
    path = _run_folder(home) / "lock"
    with locked(path, timeout=0.5, purpose="vector-assets up is running in this home already"):
        yield


def _run_folder(home: Path) -> Path:
    folder = home / "run"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _record_path(home: Path, name: str) -> Path:
    return _run_folder(home) / f"{name}.json"


def _answers(url: str, token: str) -> bool:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    try:
        with _DIRECT.open(request, timeout=5.0):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
