"""Where a project keeps what it makes on this machine, and where our own top-level folders lie."""

from __future__ import annotations

import os
from pathlib import Path

from vector_assets.errors import RuntimeFault

_PACKAGE = Path(__file__).resolve().parents[1]
_BUNDLED = ("sql", "dagster_home")


def home() -> Path:
    """The folder of databases, logs and artifacts; made with mode 0700 when it is not there."""
    named = os.environ.get("VECTOR_ASSETS_HOME")
    project = os.environ.get("VECTOR_ASSETS_PROJECT") or "."
    folder = Path(named).expanduser() if named else Path(project).expanduser() / ".vector_assets"
    return own_folder(folder.absolute())


def artifacts_root() -> str:
    """Where checkpoints and exports go: a folder, or a URL such as s3://bucket/prefix."""
    named = os.environ.get("VECTOR_ASSETS_ARTIFACTS")
    if named and "://" in named:
        return named
    if named:
        return str(_made_private(Path(named).expanduser().absolute(), variable="VECTOR_ASSETS_ARTIFACTS"))
    return str(_made_private(home() / "artifacts"))


def bundled(name: str) -> Path:
    """The top-level folder `sql` or `dagster_home`, in a checkout or in an installed wheel."""
    if name not in _BUNDLED:
        raise RuntimeFault(f"no bundled folder {name!r}: expected one of {', '.join(_BUNDLED)}")
    # The wheel's place first: beside an installed package, a folder called sql could be anybody's.
    for folder in (_PACKAGE / "_bundled" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise RuntimeFault(f"the folder {name} is missing beside {_PACKAGE}: reinstall vector-assets")


def own_folder(folder: Path) -> Path:
    """The folder, made if absent, and ours to write: root does not work in what another user can change."""
    folder = _made_private(folder).resolve()
    owner = folder.stat().st_uid
    foreign = owner != 0 if os.geteuid() == 0 else not os.access(folder, os.R_OK | os.W_OK | os.X_OK)
    if foreign:
        raise RuntimeFault(f"{folder} belongs to user id {owner}: run as that user, or name another VECTOR_ASSETS_HOME")
    return folder


def _made_private(folder: Path, *, variable: str = "VECTOR_ASSETS_HOME") -> Path:
    """The folder, made with mode 0700 if absent; parents and existing folders keep their modes."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise RuntimeFault(
            f"cannot make the folder {folder}: {error.strerror}; name another with {variable}"
        ) from error
    return folder
