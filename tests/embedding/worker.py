"""A process that syncs on demand, for tests that kill it: forks a child per sync, so that each starts at once.

Reads lines ``SECONDS`` from its input: a child begins a sync and is killed with signal 9 after so long, or ends by
itself first; one line says which. Each text that the child has encoded is in the file LOG, one line a text.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from fakes import FakeStore, KeywordEncoder

from vector_assets.errors import VectorAssetsError
from vector_assets.records import Encoded
from vector_assets.spec import Collection
from vector_assets.stores.workspace import open_workspace


class LoggingEncoder(KeywordEncoder):
    """Takes its time, and notes what it has encoded."""

    log: Path

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        encoded = super().encode_documents(texts)
        time.sleep(0.02)
        with self.log.open("a") as file:
            file.write("".join(text.replace("\n", " ") + "\n" for text in texts))
        return encoded


def work(collection: Collection, log: Path) -> int:
    """Sync once; 0 when it ended well, 3 when the database went away."""
    import psycopg

    encoder = LoggingEncoder()
    encoder.log = log
    try:
        FakeStore(open_workspace(), collection, encoder, page=32).embed()
    except (psycopg.Error, VectorAssetsError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 3
    return 0


def say(line: str) -> None:
    """Answer the test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Serve until the input ends."""
    collection, log = Collection.model_validate_json(sys.argv[1]), Path(sys.argv[2])
    say("ready")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            os._exit(work(collection, log))
        deadline = time.monotonic() + float(line)
        status = (0, 0)
        while time.monotonic() < deadline and status[0] == 0:
            status = os.waitpid(child, os.WNOHANG)
            time.sleep(0.001)
        if status[0] == 0:
            os.kill(child, signal.SIGKILL)
            status = os.waitpid(child, 0)
        say(str(os.waitstatus_to_exitcode(status[1])))


if __name__ == "__main__":
    main()
