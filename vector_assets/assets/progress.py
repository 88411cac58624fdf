"""How far a stage has come: into the run's log now and then, and to whoever launched the run in this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dagster as dg

Listener = Callable[[str, int, int, str], None]

_LISTENERS: list[Listener] = []


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Tell ``listener(stage, done, total, note)`` of every step of the runs executed inside the block."""
    _LISTENERS.append(listener)
    try:
        yield
    finally:
        _LISTENERS.remove(listener)


class StageProgress:
    """Counts of one stage of one run; a line in its log at most every ``seconds``."""

    def __init__(self, context: dg.AssetExecutionContext, *, seconds: float = 10) -> None:
        """Keep the run's log."""
        self._context = context
        self._stage = context.asset_key.path[0]
        self._seconds = seconds
        self._said = self._started = time.perf_counter()

    def __call__(self, done: int, total: int, note: str = "") -> None:
        """Say how far it has come."""
        for listener in _LISTENERS:
            listener(self._stage, done, total, note)
        now = time.perf_counter()
        if now - self._said >= self._seconds or done == total:
            self._said = now
            speed = done / max(now - self._started, 1e-9)
            self._context.log.info(f"{done} of {total}, {speed:.0f} per second{': ' if note else ''}{note}")
