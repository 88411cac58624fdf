"""What is wrong on this machine or server, and what to do about it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from vector_assets.encoder.resolve import resolve_encoder
from vector_assets.errors import VectorAssetsError
from vector_assets.runtime.home import artifacts_root, home
from vector_assets.runtime.machine import machine
from vector_assets.spec.project import find_project
from vector_assets.stores.database import READER, WRITER, role_grants
from vector_assets.stores.workspace import Workspace, open_workspace

LOW_DISK = 5 * 2**30


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at."""

    name: str
    ok: bool
    said: str
    exit_code: int = 0


def examine() -> tuple[Finding, ...]:
    """Look at everything; what cannot be looked at is a finding, not an exception."""
    looks: tuple[tuple[str, Callable[[], str]], ...] = (
        ("machine", _machine),
        ("home", lambda: str(home())),
        ("disk", _disk),
        ("artifacts", artifacts_root),
        ("project", _project),
        ("database", _database),
        ("roles", _roles),
        ("tracking", lambda: f"MLflow at {_hidden(open_workspace().tracking.uri)}"),
        ("encoder", lambda: f"minilm at {resolve_encoder('minilm', folder=home())}"),
    )
    findings: list[Finding] = []
    for name, look in looks:
        finding = _look(name, look)
        # What stands in the way of several is told once, where it belongs.
        same = next((other.name for other in findings if not other.ok and other.said == finding.said), None)
        findings.append(replace(finding, said=f"not looked at, see {same}") if same else finding)
    return tuple(findings)


def _look(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, ok=True, said=look())
    except VectorAssetsError as error:
        return Finding(name, ok=False, said=str(error), exit_code=error.exit_code)


def _machine() -> str:
    found = machine()
    return f"{found.cores} cores, {found.memory / 2**30:.1f} GiB"


def _disk() -> str:
    free = shutil.disk_usage(home()).free
    if free < LOW_DISK:
        raise VectorAssetsError(f"{free / 2**30:.1f} GiB free below {home()}; expected 5 GiB or more")
    return f"{free / 2**30:.0f} GiB free"


def _project() -> str:
    project = find_project()
    names = [collection.name for collection in project.collections()]
    return f"{project.root} with {', '.join(names) or 'no collection'}"


def _database() -> str:
    workspace = open_workspace()
    with workspace.database.connect() as connection:
        row = connection.execute(
            "select current_setting('server_version'), (select extversion from pg_extension where extname = 'vector')"
        ).fetchone()
    assert row is not None
    kind = "embedded" if workspace.addresses.embedded else "external"
    return f"{kind} Postgres {row[0]} with pgvector {row[1]} at {workspace.addresses.database.shown}"


def _roles() -> str:
    workspace = open_workspace()
    if _has_roles(workspace):
        return f"{READER} searches, {WRITER} writes"
    with workspace.database.connect() as connection:
        grants = role_grants(workspace.database.names).as_string(connection)
    raise VectorAssetsError(
        f"the roles are missing and this one may not create them; as an administrator: create role {READER} login; "
        f"create role {WRITER} login; {grants}; grant {READER} to {os.environ.get('USER', 'the user of the URL')}"
    )


def _has_roles(workspace: Workspace) -> bool:
    with workspace.database.connect() as connection:
        rows = connection.execute(
            "select rolname from pg_roles where rolname = any(%s)", ([READER, WRITER],)
        ).fetchall()
    return len(rows) == 2


def _hidden(uri: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(uri).render_as_string(hide_password=True) if "://" in uri else uri
