"""Who runs the server: we ourselves, or, as root, a service user, since postgres refuses root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from vector_assets.errors import RuntimeFault

SERVICE_USER = "vector_assets"
_FALLBACKS = ("postgres", "daemon", "nobody")
# A server inherits neither PGDATA and its like, nor our secrets, nor the mark by which `up` ends processes.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """A user of this machine under whom the server runs."""

    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        """Whether no change of user is needed."""
        return self.uid == os.geteuid()


def account_for(data: Path) -> Account:
    """The owner of existing data; else ourselves, or as root the service user, made once."""
    us = os.geteuid()
    owner = data.stat().st_uid if data.exists() else us
    if us not in (0, owner):
        raise RuntimeFault(f"{data} belongs to user {_name(owner)}, not to you: choose another VECTOR_ASSETS_HOME")
    if owner != 0:
        return _account(owner)
    if data.exists():
        raise RuntimeFault(f"{data} belongs to root, and postgres does not run as root: move it away and start anew")
    return _service_account()


def popen(
    command: Sequence[str | Path],
    account: Account,
    *,
    stdout: int | IO[bytes] = subprocess.PIPE,
    stderr: int | IO[bytes] = subprocess.STDOUT,
    keep: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program as that account: own session, clean environment, files 0600, working in /."""
    user = None if account.is_us else account.uid
    try:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            user=user,
            group=None if user is None else account.gid,
            extra_groups=None if user is None else [],
            cwd="/",
            env=_ENVIRONMENT,
            umask=0o077,
            start_new_session=True,
            pass_fds=tuple(keep),
        )
    except OSError as error:
        raise RuntimeFault(f"cannot run {command[0]} as user {account.name}: {error.strerror}") from error


def run(command: Sequence[str | Path], account: Account) -> tuple[int, str]:
    """Exit code and all output of a short program."""
    with popen(command, account) as process:
        output, _ = process.communicate()
    return process.returncode, output.decode(errors="replace").strip()


def _service_account() -> Account:
    found = _named(SERVICE_USER)
    if found is None and (useradd := shutil.which("useradd", path="/usr/sbin:/sbin:" + os.defpath)):
        wanted = ["--system", "--no-create-home", "--home-dir=/nonexistent", "--shell=/usr/sbin/nologin"]
        # Its exit code says nothing when another process adds the same user now; the user list does.
        subprocess.run([useradd, *wanted, SERVICE_USER], check=False, capture_output=True)
        found = _named(SERVICE_USER)
    candidates = [found, *(_named(name) for name in _FALLBACKS)]
    account = next((account for account in candidates if account is not None), None)
    if account is None:
        raise RuntimeFault(f"postgres does not run as root and no user could be added: useradd {SERVICE_USER}")
    return account


def _named(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _account(uid: int) -> Account:
    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        raise RuntimeFault(f"user id {uid} has no name here (/etc/passwd), which initdb needs: add one") from None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
