"""One guarded web app in a process of its own: what the processes behind `up` have in common."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import socket
from pathlib import Path

import psutil
import uvicorn
from starlette.types import ASGIApp

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.guard import guarded

TOKEN = "VECTOR_ASSETS_UI_TOKEN"  # noqa: S105  the name of a variable
HOSTS = "VECTOR_ASSETS_UI_HOSTS"
OWN_TOKEN = "VECTOR_ASSETS_TOKEN"  # noqa: S105
OWN_HOSTS = "VECTOR_ASSETS_ALLOWED_HOSTS"
_LOOPBACK = ("127.0.0.1", "localhost")
_SHORTEST = 16
_LONGEST_SOCKET = 100
_PLAIN = re.compile(r"[A-Za-z0-9_./-]+")
_TEMPORARY = Path("/tmp")  # noqa: S108


def serve_app(app: ASGIApp, *, host: str, port: int) -> None:
    """Serve the app behind the guard until SIGTERM; token and hosts come from the environment."""
    token, hosts = os.environ.get(TOKEN, ""), os.environ.get(HOSTS) or ",".join(_LOOPBACK)
    if not token:
        raise RuntimeFault(f"{TOKEN} is not set: start this with vector-assets up")
    uvicorn.run(
        guarded(app, hosts.split(","), token),
        host=host,
        port=port,
        log_level="warning",
        # The first request of a browser has the token in its address, which belongs in no log.
        access_log=False,
        # Open websockets of a browser do not keep us.
        timeout_graceful_shutdown=2,
    )


def choose_token(host: str) -> str:
    """Return the owner's VECTOR_ASSETS_TOKEN, or on loopback a new one per start.

    There is no way to serve without one. Beyond loopback the owner has to choose it, and a TLS proxy in front.
    """
    own = os.environ.get(OWN_TOKEN)
    if own is None and host not in _LOOPBACK:
        raise RuntimeFault(
            f"--host {host} is open to other machines, and whoever gets in runs code as you: "
            f"set {OWN_TOKEN} to a secret of {_SHORTEST} characters or more, or stay on 127.0.0.1"
        )
    if own is not None and not re.fullmatch(rf"[A-Za-z0-9_-]{{{_SHORTEST},}}", own):
        raise RuntimeFault(f"{OWN_TOKEN}: expected {_SHORTEST} or more letters, digits, - and _")
    return own or secrets.token_urlsafe(24)


def allowed_hosts(host: str) -> list[str]:
    """Return names by which browsers may ask: loopback, beyond it this machine's, and those the owner lists."""
    named = [each.strip() for each in os.environ.get(OWN_HOSTS, "").split(",") if each.strip()]
    if host in _LOOPBACK:
        return [*_LOOPBACK, *named]
    own = [host] if host != "0.0.0.0" else [socket.gethostname(), socket.getfqdn(), *_own_addresses()]  # noqa: S104
    return sorted({*_LOOPBACK, *own, *named})


def shown_host(host: str) -> str:
    """Return the host to print in an address."""
    return socket.gethostname() if host == "0.0.0.0" else host  # noqa: S104


def _own_addresses() -> list[str]:
    found = [address for addresses in psutil.net_if_addrs().values() for address in addresses]
    return [address.address for address in found if address.family == socket.AF_INET]


def socket_path(home: Path, name: str) -> Path:
    """Return where a Unix socket of this home lies: inside, or in a private folder where that path is too long.

    The same each time, since Dagster knows its sensors by the address of their code server.
    """
    inside = home / "run" / name
    if len(os.fsencode(inside)) <= _LONGEST_SOCKET and _PLAIN.fullmatch(str(inside)):
        inside.parent.mkdir(mode=0o700, exist_ok=True)
        return inside
    folder = _TEMPORARY / f"vector_assets-{os.geteuid()}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:16]}"
    folder.mkdir(mode=0o700, exist_ok=True)
    stat = folder.lstat()
    if folder.is_symlink() or stat.st_uid != os.geteuid() or stat.st_mode & 0o077:
        raise RuntimeFault(f"{folder} is not a private folder of yours (mode 0700): remove it")
    return folder / name
