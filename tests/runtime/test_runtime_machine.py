"""A container's limits count, and the server's settings follow from them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from vector_assets.runtime.machine import GIB, MIB, Machine, machine
from vector_assets.runtime.pg_settings import settings


def sized(**given: int | None) -> dict[str, str]:
    whole = Machine(**{"cores": 8, "memory": 64 * GIB, "shm_free": 32 * GIB, **given})  # type: ignore[arg-type]
    return settings(whole, socket=Path("/s"), port=5432)


@pytest.fixture
def cgroups(tmp_path: Path) -> Path:
    (tmp_path / "fs" / "job" / "step").mkdir(parents=True)
    (tmp_path / "own").write_text("0::/job/step\n")
    return tmp_path


def test_the_tightest_limit_of_all_groups_above_us_counts(cgroups: Path) -> None:
    (cgroups / "fs" / "job" / "step" / "memory.max").write_text("max\n")
    (cgroups / "fs" / "job" / "memory.max").write_text(f"{512 * MIB}\n")
    (cgroups / "fs" / "job" / "cpu.max").write_text("50000 100000\n")
    found = machine(cgroups=cgroups / "fs", own=cgroups / "own")
    assert (found.memory, found.cores) == (512 * MIB, 1)


def test_without_limits_the_machine_counts(cgroups: Path) -> None:
    found = machine(cgroups=cgroups / "fs", own=cgroups / "own")
    assert found.memory == psutil.virtual_memory().total


def test_no_shared_memory_mount_is_told_from_a_full_one(cgroups: Path) -> None:
    assert machine(shm=cgroups / "absent", cgroups=cgroups / "fs", own=cgroups / "own").shm_free is None


def test_settings_of_a_large_machine_are_capped() -> None:
    found = sized()
    assert found["shared_buffers"] == "2048MB"
    assert found["maintenance_work_mem"] == "1024MB"
    assert found["max_parallel_maintenance_workers"] == "7"
    assert found["max_connections"] == "100"
    assert found["listen_addresses"] == ""
    assert found["jit"] == "off"


def test_settings_of_a_small_machine_leave_room() -> None:
    found = sized(cores=1, memory=GIB)
    assert found["shared_buffers"] == "204MB"
    assert found["maintenance_work_mem"] == "64MB"
    assert found["max_parallel_maintenance_workers"] == "0"


@pytest.mark.parametrize(("free", "kind"), [(64 * MIB, "mmap"), (None, "mmap"), (32 * GIB, "posix")])
def test_small_shared_memory_is_not_used(free: int | None, kind: str) -> None:
    assert sized(shm_free=free)["dynamic_shared_memory_type"] == kind
