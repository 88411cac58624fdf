"""TCP ports: is it free, who has it, which one is."""

from __future__ import annotations

import errno
import socket

import psutil

from vector_assets.errors import RuntimeFault

LOOPBACK = "127.0.0.1"


def require_free(port: int, *, option: str, host: str = LOOPBACK) -> int:
    """The port, or one line that says who has it and which option names another."""
    if not 0 < port < 65536:
        raise RuntimeFault(f"{option} {port} is not a port: expected 1 to 65535")
    try:
        _bind(host, port)
    except OSError as error:
        why = f"in use: {_holder(port)}" if error.errno == errno.EADDRINUSE else f"refused: {error.strerror}"
        raise RuntimeFault(f"port {port} {why}; choose another with {option}") from error
    return port


def find_free_port(*, host: str = LOOPBACK, preferred: int | None = None) -> int:
    """The preferred port where it is free, else one the system picks."""
    if preferred is not None:
        try:
            return _bind(host, preferred)
        except OSError:
            pass
    return _bind(host, 0)


def _bind(host: str, port: int) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections in TIME_WAIT after a restart do not hold a port; a listener does, this flag or not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and connection.laddr and connection.laddr.port == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return "another process"
