"""Processes that parse: started as plain commands, so that a caller's ``__main__`` is never imported again."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import IO, cast

from vector_assets.errors import SourceError
from vector_assets.source.parse import Parsed, ParseTask, parse_batch

_SERVE = "from vector_assets.source.parse import serve; serve()"
_MOST = 8


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_all(tasks: Iterable[ParseTask], processes: int) -> Generator[Parsed]:
    """Return the results of the tasks in their order; a bounded number is under way."""
    if processes <= 1 or not sys.executable:
        yield from map(parse_batch, tasks)
        return
    workers = [_Worker() for _ in range(min(processes, _MOST))]
    idle: SimpleQueue[_Worker] = SimpleQueue()
    for worker in workers:
        idle.put(worker)

    def work(task: ParseTask) -> Parsed:
        worker = idle.get()
        try:
            return worker.parse(task)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(len(workers), thread_name_prefix="parse")
    under_way: deque[Future[Parsed]] = deque()
    try:
        for task in tasks:
            under_way.append(pool.submit(work, task))
            if len(under_way) >= 2 * len(workers):
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        # Also when the reader stops half-way: what is under way is worth nothing then.
        for future in under_way:
            future.cancel()
        for worker in workers:
            worker.stop()
        pool.shutdown()


class _Worker:
    def __init__(self) -> None:
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", _SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    def parse(self, task: ParseTask) -> Parsed:
        stdin, stdout = cast("IO[bytes]", self._process.stdin), cast("IO[bytes]", self._process.stdout)
        try:
            pickle.dump(task, stdin)
            stdin.flush()
            return cast("Parsed", pickle.load(stdout))  # noqa: S301  # written by our own child
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            first = task.files[0].path if task.files else task.distribution
            raise SourceError(
                f"{first}: the process parsing it and the files after it ended (out of memory?)"
            ) from error

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                try:
                    pipe.close()
                except OSError:
                    continue
