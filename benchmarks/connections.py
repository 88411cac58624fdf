"""What it saves to lend a connection again: of one question, and of a sync that finds nothing to do.

Control: each block opens a connection of its own and closes it, as was done before. Which arm comes first is drawn each
time. Rows and encoder are those of sync_cost.py. The embedded server is reached by a socket of this machine, without a
password or TLS, where opening is cheapest.

    python benchmarks/connections.py --rows 10000 --rounds 20 --json connections.json
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded import own_workspace
from sync_cost import Store, make_rows

from vector_assets.spec import Collection
from vector_assets.stores import connections, database
from vector_assets.stores.connections import Connection
from vector_assets.stores.urls import DatabaseUrl
from vector_assets.stores.workspace import Workspace

_lend = database.lend
blocks = 0


@contextmanager
def lent(url: DatabaseUrl) -> Iterator[Connection]:
    """Lend one that waits."""
    global blocks
    blocks += 1
    with _lend(url) as connection:
        yield connection


@contextmanager
def opened(url: DatabaseUrl) -> Iterator[Connection]:
    """Open one, ask for the number of pgvector's type, and close it."""
    global blocks
    blocks += 1
    with connections._opened(url, autocommit=True, context=connections._ADAPTERS.get(url.libpq)) as connection:
        connections._vector_type(connection)
        yield connection


def both(what: Callable[[], object], rounds: int) -> dict[str, dict[str, float]]:
    """Time it by both arms in a drawn order; milliseconds."""
    global blocks
    order = random.Random(0)
    taken: dict[str, list[float]] = {"opened": [], "lent": []}
    counted = 0
    for _ in range(rounds):
        for name in order.sample(["opened", "lent"], 2):
            database.lend = {"opened": opened, "lent": lent}[name]
            blocks, started = 0, time.perf_counter()
            what()
            taken[name].append(1000 * (time.perf_counter() - started))
            counted = blocks
    database.lend = _lend
    found = {
        name: {"median": statistics.median(each), "least": min(each), "most": max(each)} for name, each in taken.items()
    }
    return {**found, "blocks": {"each": float(counted)}}


def question(workspace: Workspace) -> None:
    """Ask the least."""
    with workspace.database.connect() as connection:
        connection.execute("select 1")


def synced(workspace: Workspace, rows: int) -> Store:
    """Return a collection that is live and in step with its rows."""
    make_rows(workspace.addresses.database.libpq, "bench_lent", rows)
    declared = {
        "name": "bench_lent", "source": {"kind": "postgres", "table": "bench_lent", "capture": "trigger"},
        "fields": {"title": "text", "body": "text"}, "spaces": {"text": {"fields": ["title", "body"]}},
    }  # fmt: skip
    store = Store(workspace, Collection.model_validate(declared))
    workspace.raw.observe(store.collection)
    _, _, generation, _ = store.stage()
    store.swap(generation, because="benchmark")
    store.stage()
    return store


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with own_workspace() as workspace:
        store = synced(workspace, asked.rows)
        found = {
            "one question": both(lambda: question(workspace), 10 * asked.rounds),
            "a sync with nothing to do": both(store.stage, asked.rounds),
        }
    for what, numbers in found.items():
        print(what, json.dumps(numbers), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
