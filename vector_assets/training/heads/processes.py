"""The processes that hold a head's shards: started, asked, and ended, whatever happens to one of them.

Programs of their own (never forks, and no re-import of the main module), each with one socket to this process. They
talk to each other over gloo, to this one only when asked; this process waits at sockets alone, so a lost one is seen at
once and a silent one in time. They end when this process does, however it does.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Protocol

from vector_assets.errors import RuntimeFault
from vector_assets.training.heads.collective import Alone
from vector_assets.training.heads.shard import Part, Scores, Shard

#: Seconds without an answer after which a process counts as lost.
PATIENCE = 600.0

_MODULE = "vector_assets.training.heads.worker"


class Shards(Protocol):
    """All shards of a head."""

    def ask(self, what: str, arguments: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """Call a method of each shard with its arguments, and return the answers in their order."""
        ...


class Own:
    """The one shard of this process."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard

    def ask(self, what: str, arguments: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """Call it."""
        return [getattr(self._shard, what)(*(arguments[0] if arguments else ()))]


class Workers:
    """One process per shard."""

    def __init__(self, count: int, meeting: Path) -> None:
        import torch

        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        shared = {
            "size": count, "meeting": str(meeting), "seconds": PATIENCE, "parent": os.getpid(),
            "threads": max(1, torch.get_num_threads() // count),
        }  # fmt: skip
        try:
            for rank in range(count):
                self._start({**shared, "rank": rank})
        except BaseException:
            self.close()
            raise

    def begin(self, parts: Sequence[Part], scores: Scores) -> None:
        """Give each its part of a head, in place of an earlier one."""
        plain, settings = (scores.func, scores.keywords) if isinstance(scores, partial) else (scores, {})
        named = f"{plain.__module__}:{getattr(plain, '__name__', '')}"
        self.ask("begin", [(part, named, settings) for part in parts])

    @property
    def pids(self) -> list[int]:
        """The numbers of the processes."""
        return [process.pid for process in self._processes]

    def ask(self, what: str, arguments: Sequence[tuple[Any, ...]] | None = None) -> list[Any]:
        """Ask all, then wait for all. Raises RuntimeFault, and ends them, when one is lost, silent or fails."""
        given = arguments or [()] * len(self._connections)
        answers: dict[int, Any] = {}
        waiting = dict(zip(self._connections, range(len(given)), strict=True))
        try:
            for connection, place in waiting.items():
                self._talk(place, lambda connection=connection, place=place: connection.send((what, given[place])))
            end = time.monotonic() + PATIENCE
            while waiting:
                ready = wait(list(waiting), max(0.0, end - time.monotonic()))
                if not ready:
                    raise self._fault(min(waiting.values()), f"gave no answer to {what} for {PATIENCE:.0f} s")
                for heard in ready:
                    assert isinstance(heard, Connection)
                    place = waiting.pop(heard)
                    done, answers[place] = self._talk(place, heard.recv)
                    if not done:
                        raise self._fault(place, f"failed: {answers[place]}")
        except BaseException:
            self.close()
            raise
        return [answers[place] for place in range(len(given))]

    def close(self) -> None:
        """End them; they hold nothing that is not here as well."""
        for connection in self._connections:
            connection.close()
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()

    def _start(self, settings: dict[str, Any]) -> None:
        ours, theirs = socket.socketpair()
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):  # one that stopped in the middle of a message
            ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", int(PATIENCE) or 1, 0))
        with theirs:
            command = [sys.executable, "-P", "-m", _MODULE, json.dumps(settings | {"socket": theirs.fileno()})]
            # What this process can import, they can; -P keeps the working folder out of it.
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(Path(one).absolute()) for one in sys.path)}
            self._connections.append(Connection(ours.detach()))
            self._processes.append(subprocess.Popen(
                command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            ))  # fmt: skip

    def _talk(self, place: int, call: Any) -> Any:  # noqa: ANN401 - send or receive
        try:
            return call()
        except BlockingIOError:
            raise self._fault(place, f"took no message for {PATIENCE:.0f} s") from None
        except (EOFError, OSError):
            raise self._fault(place, "is gone") from None

    def _fault(self, place: int, what: str) -> RuntimeFault:
        """Blame the process that was ended by a signal, where there is one: the others only miss it."""
        end = time.monotonic() + 1.0
        while time.monotonic() < end and not any(process.poll() is not None for process in self._processes):
            time.sleep(0.02)
        for number, process in enumerate(self._processes):
            if (process.returncode or 0) < 0:
                place, what = number, f"was ended by {_name(-process.returncode)}"
        process = self._processes[place]
        what += f" (exit code {process.returncode})" if (process.returncode or 0) > 0 else ""
        return RuntimeFault(
            f"training: process {place + 1} of {len(self._processes)} that hold the head (pid {process.pid}) {what}; "
            "expected it to live until training ends; run it again, it goes on from what was last saved; where memory "
            "ran out, declare a smaller train.head.sample, or other processes"
        )


@contextmanager
def started(parts: Sequence[Part], scores: Scores) -> Iterator[Shards]:
    """Yield the shards of a head: one in this process, several in processes of their own."""
    if len(parts) == 1:
        yield Own(Shard(parts[0], scores, Alone()))
        return
    with workers(len(parts)) as found:
        found.begin(parts, scores)
        yield found


@contextmanager
def workers(count: int) -> Iterator[Workers]:
    """Yield processes that hold nothing yet, and end them."""
    with tempfile.TemporaryDirectory(prefix="vector_assets_head_") as folder:
        found = Workers(count, Path(folder) / "meeting")
        try:
            yield found
        finally:
            found.close()


def _name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
