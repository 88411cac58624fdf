"""What capture by triggers costs the application that writes: bulk writes of 100,000 rows, and single-row writes.

Two tables alike, one of them captured, are written in turn, the order turning each round; between two writes the table
is emptied and a checkpoint taken. A bulk write is
    rows        one COPY into which a Python program writes its rows one by one
    batches     INSERT of 1,000 rows a statement, as SQLAlchemy sends many rows, in one transaction
    file        one COPY of a text that is ready
    select      one INSERT … SELECT: no client at all, so all that is added is seen
What is printed is the ratio of the medians with its 95 % interval (bootstrap over rounds): of the seconds that the
application waits, and of processor time (the server's process and our own together), which is what is left where
neighbours on the machine and its disk make the seconds noisy.

    python benchmarks/trigger_cost.py --rounds 40 --json trigger_cost.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import psycopg
from embedded import own_workspace

from vector_assets.spec import Collection

NAMES = ("plain", "captured")
Times = dict[str, list[float]]


def processor_seconds(connection: psycopg.Connection) -> float:
    """Return what this process and the one behind a connection have used so far."""
    server = int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e9
    return server + time.process_time()


class Writers:
    """Ways to write the same rows of about 200 characters; each returns when they are committed."""

    def __init__(self, rows: int) -> None:
        self.rows = [(i, f"title {i:032x}", f"{i:032x} " * 5) for i in range(1, rows + 1)]
        self.text = "".join(f"{i}\t{title}\t{body}\n" for i, title, body in self.rows).encode()

    def select(self, connection: psycopg.Connection, name: str) -> None:
        """One statement inside the server."""
        connection.execute(
            f"insert into write_{name} select i, 'title ' || md5(i::text), repeat(md5(i::text) || ' ', 5) "
            f"from generate_series(1, {len(self.rows)}) i"
        )

    def file(self, connection: psycopg.Connection, name: str) -> None:
        """COPY of a text."""
        with connection.cursor() as cursor, cursor.copy(f"copy write_{name} from stdin") as copy:
            copy.write(self.text)

    def by_rows(self, connection: psycopg.Connection, name: str) -> None:
        """COPY, row by row."""
        with connection.cursor() as cursor, cursor.copy(f"copy write_{name} from stdin") as copy:
            for row in self.rows:
                copy.write_row(row)

    def batches(self, connection: psycopg.Connection, name: str) -> None:
        """INSERT of 1,000 rows a statement, the values as parameters."""
        with connection.transaction():
            for start in range(0, len(self.rows), 1000):
                some = self.rows[start : start + 1000]
                marks = ", ".join(["(%s, %s, %s)"] * len(some))
                connection.execute(f"insert into write_{name} values {marks}", [value for row in some for value in row])


def single_writes(connection: psycopg.Connection, name: str, first: int, count: int) -> float:
    """Update rows by key, a transaction each; return the seconds of one."""
    statement = f"update write_{name} set title = 'other' where id = %s"
    for key in range(1, 201):
        connection.execute(statement, (key,), prepare=True)
    started = time.perf_counter()
    for key in range(first, first + count):
        connection.execute(statement, (key,), prepare=True)
    return (time.perf_counter() - started) / count


def measure(url: str, rows: int, rounds: int) -> dict[str, Times]:
    """Write both tables in turn and return the seconds of each write."""
    found: dict[str, Times] = {}
    writers = Writers(rows)
    ways = {"rows": writers.by_rows, "batches": writers.batches, "file": writers.file, "select": writers.select}

    def note(what: str, name: str, seconds: float) -> None:
        found.setdefault(what, {each: [] for each in NAMES})[name].append(seconds)

    for round_ in range(rounds):
        for way, write in ways.items():
            for name in NAMES if round_ % 2 else reversed(NAMES):
                with psycopg.connect(url, autocommit=True) as connection:
                    connection.execute(f"truncate write_{name}")
                    connection.execute("checkpoint")
                    before, started = processor_seconds(connection), time.perf_counter()
                    write(connection, name)
                    note(f"{way}, seconds", name, time.perf_counter() - started)
                    note(f"{way}, processor", name, processor_seconds(connection) - before)
        for name in NAMES if round_ % 2 else reversed(NAMES):
            with psycopg.connect(url, autocommit=True) as connection:
                # Each write is a transaction; that it waits for no disk leaves what the triggers add.
                connection.execute("set synchronous_commit = off")
                note("single", name, single_writes(connection, name, 1001, 2000))
    return found


def compared(what: str, times: Times) -> dict[str, object]:
    """Return the ratio of medians with its interval; of single writes the difference in milliseconds."""
    plain, captured = (np.array(times[name]) for name in NAMES)
    drawn = np.random.default_rng(0).integers(0, len(plain), (4000, len(plain)))
    before, after = np.median(plain[drawn], axis=1), np.median(captured[drawn], axis=1)
    result: dict[str, object] = {"what": what, "rounds": len(plain)}
    if what == "single":
        spread = 1000 * np.percentile(after - before, [2.5, 97.5])
        difference = 1000 * (statistics.median(captured) - statistics.median(plain))
        return result | {"extra_ms": difference, "interval_ms": spread.tolist(), "plain_ms": 1000 * np.median(plain)}
    spread = np.percentile(after / before - 1, [2.5, 97.5])
    extra = statistics.median(captured) / statistics.median(plain) - 1
    return result | {
        "extra": extra, "interval": spread.tolist(),
        "plain_s": float(np.median(plain)), "captured_s": float(np.median(captured)),
    }  # fmt: skip


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with own_workspace() as workspace:
        url = workspace.addresses.database.libpq
        with psycopg.connect(url, autocommit=True) as connection:
            for name in NAMES:
                connection.execute(f"create table write_{name} (id bigint primary key, title text, body text)")
        workspace.raw.observe(
            Collection.model_validate(
                {
                    "name": "write_captured",
                    "source": {"kind": "postgres", "table": "write_captured"},
                    "fields": {"title": "text", "body": "text"},
                    "spaces": {"text": {"fields": ["title", "body"]}},
                }
            )
        )
        times = measure(url, arguments.rows, arguments.rounds)
    found = [compared(what, each) for what, each in times.items()]
    for line in found:
        print(json.dumps(line), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps({"found": found, "times": times}, indent=1) + "\n")


if __name__ == "__main__":
    main()
