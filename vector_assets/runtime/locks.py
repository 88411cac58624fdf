"""Files of ours that only their owner may write, and locks on them that end with their holder."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from vector_assets.errors import RuntimeFault


def open_private(path: Path, flags: int) -> int:
    """Open or make a file with mode 0600; never through a symbolic link."""
    try:
        return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise RuntimeFault(f"cannot open {path}: {error.strerror}; its folder must belong to you") from error


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the exclusive lock, or None while somebody else does.

    The lock belongs to the open file, so that it lives on in a child that inherits the descriptor.
    """
    descriptor = open_private(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


@contextmanager
def locked(path: Path, *, timeout: float, purpose: str) -> Iterator[None]:
    """Hold the lock; the kernel frees it when the process ends, however it ends."""
    deadline = time.monotonic() + timeout
    while (descriptor := try_lock(path)) is None:
        if time.monotonic() > deadline:
            raise RuntimeFault(f"{purpose}: another process has held {path} for {timeout:.0f} s; end it and try again")
        time.sleep(0.02)
    try:
        yield
    finally:
        os.close(descriptor)


def write_record(path: Path, record: Mapping[str, object]) -> None:
    """Replace a small JSON file whole, mode 0600: a reader sees the old one or the new one."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        json.dump(record, file, indent=1)
    Path(name).replace(path)
