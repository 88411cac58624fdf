"""Server settings, sized to the machine."""

from __future__ import annotations

from pathlib import Path

from vector_assets.runtime.machine import GIB, MIB, Machine


def settings(machine: Machine, *, socket: Path, port: int) -> dict[str, str]:
    """What the server is started with; a session may still `set` the ordinary ones."""
    maintenance = _between(64 * MIB, machine.memory // 16, GIB)
    return {
        # Who may connect: whoever may enter the socket folder, and nobody by network.
        "listen_addresses": "",
        "unix_socket_directories": str(socket),
        "unix_socket_permissions": "0700",
        "port": str(port),
        "max_connections": "100",
        # Memory: shared with the encoders, so modest; index builds get theirs for as long as they run.
        "shared_buffers": _megabytes(_between(64 * MIB, machine.memory // 5, 2 * GIB)),
        "effective_cache_size": _megabytes(machine.memory // 2),
        "work_mem": _megabytes(_between(4 * MIB, machine.memory // 400, 64 * MIB)),
        "maintenance_work_mem": _megabytes(maintenance),
        "autovacuum_work_mem": _megabytes(_between(32 * MIB, maintenance // 4, 256 * MIB)),
        "dynamic_shared_memory_type": shared_memory(machine, maintenance=maintenance),
        "max_worker_processes": str(machine.cores + 8),
        "max_parallel_workers": str(max(machine.cores, 2)),
        "max_parallel_workers_per_gather": str(_between(1, machine.cores // 2, 4)),
        "max_parallel_maintenance_workers": str(machine.cores - 1),
        # Bulk loads: long checkpoints, and no log for tables and indexes made in the same transaction.
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "max_logical_replication_workers": "0",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_checkpoints": "off",
        "log_line_prefix": "%m [%p] %d ",
    }


def shared_memory(machine: Machine, *, maintenance: int) -> str:
    """`mmap` where the mount is too small: a parallel HNSW build reserves its whole memory up front."""
    if machine.shm_free is None or machine.shm_free < 2 * maintenance + 256 * MIB:
        return "mmap"
    return "posix"


def _between(low: int, value: int, high: int) -> int:
    return max(low, min(value, high))


def _megabytes(size: int) -> str:
    return f"{size // MIB}MB"
