"""pgvector builds its indexes in parallel, also where the shared-memory mount is a container's 64 MB."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from runtime_support import Query, python_environment

from vector_assets.runtime.machine import GIB, MIB, machine
from vector_assets.runtime.postgres import ensure_postgres, stop_postgres

BUILD = """
create extension if not exists vector;
drop table if exists items;
create table items as
  select i as id, array(select random() + i * 0 from generate_series(1, 32))::vector(32)
  as v from generate_series(1, 2000) as i;
alter table items set (parallel_workers = 2);
set max_parallel_maintenance_workers = 2;
set maintenance_work_mem = '256MB';
create index on items using hnsw (v vector_cosine_ops);
analyze items;
set enable_seqscan = off;
select count(*) from (select id from items order by v <=> (select v from items where id = 7) limit 10) h;
"""
IN_SMALL_MOUNT = """
import sys
from pathlib import Path
from dataclasses import replace
from vector_assets.runtime.machine import machine
from vector_assets.runtime.postgres import ensure_postgres
measured = machine()
assert measured.shm_free < 65 * 1024**2, measured
free = {"measured": measured.shm_free, "wrong": 64 * 1024**3}[sys.argv[2]]
ensure_postgres(Path(sys.argv[1]), on=replace(measured, shm_free=free))
"""


def test_a_parallel_index_with_shared_memory_measured_large(used_home: Path, query: Query) -> None:
    stop_postgres(used_home)
    server = ensure_postgres(used_home, on=replace(machine(), cores=3, shm_free=64 * GIB))
    assert query(server, "show dynamic_shared_memory_type") == "posix"
    assert query(server, BUILD) == "10"


def test_a_parallel_index_with_shared_memory_measured_small(used_home: Path, query: Query) -> None:
    stop_postgres(used_home)
    server = ensure_postgres(used_home, on=replace(machine(), cores=3, shm_free=64 * MIB))
    assert query(server, "show dynamic_shared_memory_type") == "mmap"
    assert query(server, BUILD) == "10"


@pytest.mark.parametrize("free", ["measured", "wrong"])
def test_in_a_container_with_a_small_mount(used_home: Path, query: Query, free: str) -> None:
    unshare = shutil.which("unshare")
    if os.geteuid() != 0 or unshare is None:
        pytest.skip("only root can mount a small /dev/shm of its own")
    stop_postgres(used_home)
    mount = "mount -t tmpfs -o size=64M tmpfs /dev/shm || exit 77"
    inside = [unshare, "--mount", "sh", "-c", f'{mount}; exec "$@"', "sh"]
    command = [*inside, sys.executable, "-c", IN_SMALL_MOUNT, str(used_home), free]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=python_environment())
    if done.returncode in (1, 77) and "Traceback" not in done.stderr:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    server = ensure_postgres(used_home)
    if free == "measured":
        assert query(server, BUILD) == "10"
    else:
        with pytest.raises(AssertionError, match="could not resize shared memory segment"):
            query(server, BUILD)
