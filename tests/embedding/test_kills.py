"""Workers killed, servers killed, disks filled: the next run ends equal to one that nobody disturbed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from fakes import FakeStore, KeywordEncoder

from vector_assets.runtime.postgres import ensure_postgres, remove_postgres, server_status, stop_postgres
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace, open_workspace

PAGE = 32


class Home:
    """A home with a server of its own, a table of animals in it, and a worker that can be killed."""

    def __init__(self, folder: Path, log: Path, rows: int) -> None:
        self.folder, self.log = folder, log
        self.log.touch()
        self.workspace: Workspace = open_workspace()
        self.collection = Collection.model_validate(
            {
                "name": "animals",
                "source": {"kind": "postgres", "table": "animals"},
                "fields": {"title": "text"},
                "spaces": {"text": {"fields": ["title"]}},
            }
        )
        self.execute("create table animals (id bigint primary key, title text)")
        self.execute(f"insert into animals select i, 'cat ' || i || '.0' from generate_series(1, {rows}) i")
        self.workspace.raw.observe(self.collection)
        helpers = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parents[2])])
        self.process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).parent / "worker.py"),
                self.collection.model_dump_json(),
                str(self.log),
            ],
            env={**os.environ, "PYTHONPATH": helpers},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        assert self.process.stdout.readline() == "ready\n"

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.workspace.addresses.database.libpq, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def sync(self, seconds: float = 60) -> int:
        """Let the worker sync; return its exit code, -9 when it was killed after ``seconds``."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def change(self, chooser: random.Random, version: int) -> set[str]:
        """Insert, update and delete some rows; return the texts that must be encoded because of it."""
        written = set()
        for _ in range(4):
            start = chooser.randrange(1, 600)
            kind = chooser.choice(["cat", "dog", "owl"])
            rows = self.execute(
                f"insert into animals select i, '{kind} ' || i || '.{version}' from generate_series({start}, "
                f"{start + 30}) i on conflict (id) do update set title = excluded.title returning title"
            )
            written |= {str(row[0]) for row in rows}
        start = chooser.randrange(1, 600)
        self.execute(f"delete from animals where id between {start} and {start + 10}")
        return written

    def stored_since(self, begun: object) -> int:
        """Count rows that were stored after a moment, once the killed worker's last statement has ended."""
        while self.execute("select 1 from pg_stat_activity where state = 'active' and query like '%staged_rows%' "
                           "and pid <> pg_backend_pid()"):  # fmt: skip
            time.sleep(0.01)
        ((there,),) = self.execute("select to_regclass('embedding.animals_g1_rows') is not null")
        if not there:
            return 0
        ((count,),) = self.execute(f"select count(*) from embedding.animals_g1_rows where embedded_at >= '{begun}'")
        return int(str(count))

    def content(self, table: str) -> list[tuple[object, ...]]:
        return self.execute(
            f"select r.k1, r.row_digest, r.d1, r.state, v.chunk_no, v.chunk_digest, vector_send(v.vector), v.present "
            f"from embedding.{table}_rows r left join embedding.{table} v using (k1) order by 1"
        )

    def undisturbed(self) -> list[tuple[object, ...]]:
        """What a first load of the same rows gives that nobody disturbs."""
        other = self.collection.model_copy(update={"name": "undisturbed"})
        store = FakeStore(self.workspace, other, KeywordEncoder(), page=PAGE)
        store.embed()
        generation = store.all()[0]
        content = self.content(generation.table)
        self.workspace.generations.fail(generation)
        return content

    def true(self) -> None:
        """Assert that the table is what an undisturbed run makes of the rows, and that it knows what it holds."""
        (generation,) = self.workspace.generations.list("animals")
        assert self.content(generation.table) == self.undisturbed()
        known = self.workspace.embeddings.content_version(generation)
        self.execute("delete from ops.contents where collection = 'animals'")
        assert self.workspace.embeddings.content_version(generation) == known, "counted as it was written"
        assert FakeStore(self.workspace, self.collection, KeywordEncoder()).check_coverage(generation).passed

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(30)


@contextmanager
def home(folder: Path, log: Path, rows: int = 600) -> Iterator[Home]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("PROJECT", "ARTIFACTS", "DATABASE_URL", "READER_URL", "SCHEMA_PREFIX"):
            patch.delenv(f"VECTOR_ASSETS_{name}", raising=False)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("VECTOR_ASSETS_HOME", str(folder))
        made = Home(folder, log, rows)
        try:
            yield made
        finally:
            made.close()
            remove_postgres(folder)


def test_twenty_kills_of_the_worker_at_random_moments(tmp_path: Path) -> None:
    chooser = random.Random(20)
    with home(tmp_path / "home", tmp_path / "log") as here:
        wanted = {str(title) for (title,) in here.execute("select title from animals")}
        kills = Counter[int]()
        lost = []
        while kills[-9] < 20:
            before = len(here.log.read_text().splitlines())
            ((begun,),) = here.execute("select clock_timestamp()")
            kills[here.sync(seconds=chooser.uniform(0.02, 0.6))] += 1
            lost.append(len(here.log.read_text().splitlines()) - before - here.stored_since(begun))
            if chooser.random() < 0.5:
                wanted |= here.change(chooser, sum(kills.values()))
        assert here.sync() == 0
        here.true()
        encoded = Counter(here.log.read_text().splitlines())
        again = sum(count - 1 for count in encoded.values())
        assert set(encoded) <= wanted
        assert again <= 20 * PAGE, f"{again} texts were encoded again after 20 kills, at most a batch each"
        assert max(lost) <= PAGE, f"encoded and lost by each kill: {lost}"
        assert any(lost), "the kills struck while work was done"
        assert here.sync() == 0
        assert Counter(here.log.read_text().splitlines()) == encoded, "and then there is nothing left to do"


def test_five_kills_of_postgres_at_random_moments(tmp_path: Path) -> None:
    chooser = random.Random(5)
    with home(tmp_path / "home", tmp_path / "log") as here:
        codes = Counter[int]()
        while codes[3] < 5:
            here.change(chooser, sum(codes.values()))

            def kill(seconds: float = chooser.uniform(0.02, 0.3)) -> None:
                time.sleep(seconds)
                server = server_status(here.folder).server
                assert server
                assert server.pid
                os.kill(server.pid, signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            codes[here.sync()] += 1
            killer.join()
            ensure_postgres(here.folder)
        assert set(codes) <= {0, 3}, "a server that goes away is one clear error"
        assert here.sync() == 0
        here.true()
        encoded = Counter(here.log.read_text().splitlines())
        assert sum(count - 1 for count in encoded.values()) <= sum(codes.values()) * PAGE


def test_a_full_disk(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    with home(tmp_path / "home", tmp_path / "log") as here, small_disk(here.folder) as disk:
        here.sync(0.3)
        here.execute("insert into animals select i, 'owl ' || i || '.full' from generate_series(9001, 14000) i")
        free = os.statvfs(disk)
        with (disk / "ballast").open("wb") as ballast:
            for _ in range(free.f_bavail * free.f_frsize // 65536):
                ballast.write(b"x" * 65536)
        assert here.sync() == 3, "the sync says that the disk is full"
        before = len(here.log.read_text().splitlines())
        assert before < 5600
        (disk / "ballast").unlink()
        ensure_postgres(here.folder)
        assert here.sync() == 0
        here.true()
        encoded = Counter(here.log.read_text().splitlines())
        assert sum(count - 1 for count in encoded.values()) <= 2 * PAGE


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Put the data of a home's server on a disk of 300 MB."""
    data = ensure_postgres(folder).data_dir.parent
    stop_postgres(folder)
    disk = Path(tempfile.mkdtemp(prefix="va-disk-", dir="/tmp"))
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300m,mode=755", "tmpfs", disk], check=False)
    if made.returncode != 0:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["cp", "-a", f"{data}/.", str(disk)], check=True)
        subprocess.run(["mount", "--bind", disk, data], check=True)
        try:
            ensure_postgres(folder)
            yield disk
            stop_postgres(folder)
        finally:
            subprocess.run(["umount", "-l", data], check=True)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
        disk.rmdir()
