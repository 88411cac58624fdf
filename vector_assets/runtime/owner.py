"""Which process does something, written down so that others can tell whether it still runs."""

from __future__ import annotations

import json
import socket

import psutil


def process_mark() -> str:
    """Return what names this process for good: host, number, and when it started, since numbers are used again."""
    own = psutil.Process()
    return json.dumps([socket.gethostname(), own.pid, own.create_time()])


def is_gone(mark: str | None) -> bool:
    """Tell whether the process of a mark has ended; False for one of another host, and where there is no mark."""
    if mark is None:
        return False
    host, pid, created = json.loads(mark)
    if host != socket.gethostname():
        return False
    try:
        process = psutil.Process(pid)
        return bool(abs(process.create_time() - created) > 1.0 or process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
