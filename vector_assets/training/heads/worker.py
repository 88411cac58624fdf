"""The program of a process that holds one shard of a head: told what to do over a socket, until that is closed.

Its one argument is JSON: rank, size, meeting, threads, seconds, parent, socket.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from vector_assets.training.heads.collective import Alone, Collective, Gloo
from vector_assets.training.heads.shard import Shard

_LOOK = 0.5  # seconds between two looks whether the parent still lives


def main() -> None:
    """Answer until the socket is closed or the parent is gone."""
    settings = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
    threading.Thread(target=_die_with, args=(settings["parent"],), daemon=True).start()
    connection = Connection(settings["socket"])
    try:
        answer(connection, settings)
    except (EOFError, OSError):  # the parent closed it, or is gone
        return


def answer(connection: Connection, settings: Mapping[str, Any]) -> None:
    """Take (method, arguments), send (done, answer); an error is an answer as well, and the last one."""
    group: Collective | None = None
    shard: Shard | None = None
    while True:
        what, arguments = connection.recv()
        try:
            if what == "begin":  # "module:function" names how this head scores, by these settings
                group = group or _join(settings)
                part, scores, told = arguments
                module, _, name = scores.partition(":")
                scores = partial(getattr(importlib.import_module(module), name), **told)
                shard, found = Shard(part, scores, group), None
            else:
                found = getattr(shard, what)(*arguments)
        except Exception as error:  # whatever it is, the parent is told, and ends this process
            connection.send((False, f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"))
            return
        connection.send((True, found))
        del found, arguments


def _join(settings: Mapping[str, Any]) -> Collective:
    import torch

    torch.set_num_threads(settings["threads"])
    if settings["size"] == 1:
        return Alone()
    return Gloo(
        rank=settings["rank"], size=settings["size"], meeting=settings["meeting"], seconds=settings["seconds"]
    )  # fmt: skip


def _die_with(parent: int) -> None:
    """End with the parent even in the middle of a step, or while waiting for another process."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


if __name__ == "__main__":
    main()
