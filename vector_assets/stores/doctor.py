"""What is wrong on this machine or server, and what to do about it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace

from vector_assets.encoder.resolve import resolve_encoder
from vector_assets.errors import VectorAssetsError
from vector_assets.runtime.home import artifacts_root, home
from vector_assets.runtime.machine import machine
from vector_assets.spec.project import find_project
from vector_assets.stores.database import READER
from vector_assets.stores.reader_rights import left_for_an_administrator, made_before_the_reader
from vector_assets.stores.workspace import open_workspace

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
    """Ask as search does; what it lacks is SQL for an administrator, or the command that mends it."""
    workspace = open_workspace()
    reader, names = workspace.reader(), workspace.database.names
    with workspace.database.connect() as connection:
        writer, database = connection.info.user, connection.info.dbname
        statements = left_for_an_administrator(connection, names, become=reader.become) if reader.role == READER else ()
        if statements:
            raise VectorAssetsError(
                f"nothing can be searched: that is done as {READER}, and {writer} may not see to it itself; "
                f"as an administrator, in database {database}: {'; '.join(statements)}; and then doctor again"
            )
        before = made_before_the_reader(connection, names)
    try:
        reader.ask(names.compose("select count(*) from {search}.live"), ())
    finally:
        reader.close()
    if before:
        raise VectorAssetsError(
            f"{READER} may not search {', '.join(before)} yet, made before that role was: "
            f"{'; '.join(f'vector-assets materialize {name}' for name in before)}"
        )
    return f"{writer} writes, {reader.role} searches"


def _hidden(uri: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(uri).render_as_string(hide_password=True) if "://" in uri else uri
