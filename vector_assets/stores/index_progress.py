"""How far an index build is, told while it runs, from what Postgres says of it on a second connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg

from vector_assets.errors import DatabaseError
from vector_assets.stores.database import Database

EVERY = 5.0  # seconds between two lines
_STEPS = (
    "select phase, blocks_done, blocks_total, tuples_done, tuples_total, lockers_total - lockers_done "
    "from pg_stat_progress_create_index where pid = %s"
)


@contextmanager
def told(
    database: Database, pid: int, log: Callable[[str], None] | None, *, every: float | None = None
) -> Iterator[None]:
    """Log progress of the build that a backend runs, every few seconds, for as long as the block lasts."""
    if log is None:
        yield
        return
    ended = threading.Event()
    watching = threading.Thread(target=_watch, args=(database, pid, log, ended, every or EVERY), daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def _watch(database: Database, pid: int, log: Callable[[str], None], ended: threading.Event, every: float) -> None:
    began: dict[str, tuple[float, float]] = {}
    try:
        if ended.wait(every):  # a short build needs no second connection
            return
        with database.connect(autocommit=True) as connection:
            while True:
                row = connection.execute(_STEPS, (pid,)).fetchone()
                if row:
                    log(progress_line(row, began, time.monotonic()))
                if ended.wait(every):
                    return
    except (psycopg.Error, DatabaseError):  # a server that went away is told by the build itself
        return


def progress_line(row: tuple[object, ...], began: dict[str, tuple[float, float]], now: float) -> str:
    """Word one look at a build: its phase, the share that is done, and the seconds left at the pace of this phase.

    ``began`` keeps the time and the share of each phase's first look.
    """
    phase = str(row[0]).removeprefix("building index: ")
    blocks, blocks_all, tuples, tuples_all, waiting = (int(str(value or 0)) for value in row[1:])
    if waiting > 0:
        return f"index: {phase}, for {waiting} older transactions to end"
    done, total = (blocks, blocks_all) if blocks_all else (tuples, tuples_all)
    if not total:
        return f"index: {phase}"
    share = done / total
    first, before = began.setdefault(phase, (now, share))
    left = ""
    if share > before and now > first:
        left = f", about {(1 - share) * (now - first) / (share - before):.0f} s left"
    return f"index: {phase}, {share:.0%}{left}"
