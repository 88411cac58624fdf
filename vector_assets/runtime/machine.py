"""What this machine, or the container around us, has to give."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1024**2
GIB = 1024**3
_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Machine:
    """Cores we may use, memory we may fill, and free bytes of shared memory (None: no such mount)."""

    cores: int
    memory: int
    shm_free: int | None


def machine(*, shm: Path = Path("/dev/shm"), cgroups: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> Machine:  # noqa: S108
    """Measure the machine; a container's limits count, not the host's size."""
    folders = _own_cgroups(cgroups, own)
    return Machine(cores=_cores(folders), memory=_memory(folders), shm_free=_shm_free(shm))


def _own_cgroups(root: Path, own: Path) -> list[Path]:
    """Our cgroup and all above it, where a limit may stand; the v1 controllers' folders as well."""
    folders = [root / "memory"]
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return [*folders, root]
    inside = next((line[3:].strip("/") for line in lines if line.startswith("0::")), "")
    path = root / inside
    return [*folders, path, *(parent for parent in path.parents if parent.is_relative_to(root))]


def _memory(folders: list[Path]) -> int:
    limits = [psutil.virtual_memory().total]
    for folder in folders:
        for name in ("memory.max", "memory.limit_in_bytes"):
            words = _words(folder / name)
            if words and words[0].isdigit():
                limits.append(int(words[0]))
    return min(limits)


def _cores(folders: list[Path]) -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    for folder in folders:
        words = _words(folder / "cpu.max")
        if len(words) == 2 and words[0].isdigit():
            cores = min(cores, math.ceil(int(words[0]) / int(words[1])))
    return max(cores, 1)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _shm_free(mount: Path) -> int | None:
    try:
        stat = os.statvfs(mount)
    except OSError:
        return None
    return stat.f_bavail * stat.f_frsize
