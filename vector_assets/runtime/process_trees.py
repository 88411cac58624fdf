"""Whole families of processes, found again after their parent is gone, and never mistaken for others.

Each process that `up` starts carries a mark in its environment, random per start, and hands it down to all it
starts in turn. Numbers of processes are reused; marks are not.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from vector_assets.runtime.locks import write_record

MARK = "VECTOR_ASSETS_STARTED_BY"


@dataclass(frozen=True)
class Record:
    """What is written down of one process we started."""

    name: str
    mark: str
    pid: int
    created: float


def write_down(folder: Path, *, name: str, mark: str, pid: int) -> Record:
    """Record a process that was just started, so that a later start finds what is left of it."""
    try:
        created = psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        created = 0.0
    record = Record(name, mark, pid, created)
    write_record(folder / f"{name}.json", asdict(record))
    return record


def records(folder: Path) -> list[Record]:
    """All records of the folder; one that cannot be read says nothing and is skipped."""
    found = []
    for path in sorted(folder.glob("*.json")):
        with suppress(ValueError, TypeError, OSError):
            found.append(Record(**json.loads(path.read_text())))
    return found


def family(record: Record) -> set[psutil.Process]:
    """The recorded process, if it still is that one, with its descendants and all that carry its mark."""
    found: set[psutil.Process] = set()
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(record.pid)
        if abs(head.create_time() - record.created) < 0.02 and not is_gone(head):
            found |= {head, *head.children(recursive=True)}
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == record.mark:
                found.add(process)
    return {process for process in found if process.pid != os.getpid() and not is_gone(process)}


def end(processes: Iterable[psutil.Process], *, grace: float) -> None:
    """SIGTERM, and SIGKILL for those that are still there after the grace."""
    living = list(processes)
    for code, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        for process in living:
            # psutil refuses when the number has passed to another process in between.
            with suppress(psutil.Error):
                process.send_signal(code)
        living = await_gone(living, seconds=seconds)


def await_gone(processes: Iterable[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait; give back those that are still there."""
    deadline = time.monotonic() + seconds
    living = [process for process in processes if not is_gone(process)]
    while living and time.monotonic() < deadline:
        time.sleep(0.03)
        living = [process for process in living if not is_gone(process)]
    return living


def is_gone(process: psutil.Process) -> bool:
    """Ended, or a zombie that nobody collects, as in a container without an init process."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
