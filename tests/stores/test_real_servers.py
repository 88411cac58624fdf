"""Real servers that cannot be used: a PostgreSQL without pgvector, and one that is too old.

Debian's server packages carry no pgvector. Another server is named by VECTOR_ASSETS_TEST_POSTGRES, its folder of
binaries (``…/bin``): with a PostgreSQL older than 15 there, the second test runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Done, Project, refused
from real_servers import RealServer, running, version_of

NAMED = "VECTOR_ASSETS_TEST_POSTGRES"
PACKAGED = Path("/usr/lib/postgresql")
#: Everything that a first connection of ours could make on a server.
MADE = """select 'schema', nspname::text from pg_namespace where nspname !~ '^pg_(toast_)?temp'
    union all select 'role', rolname::text from pg_roles
    union all select 'database', datname::text from pg_database
    union all select 'table', oid::regclass::text from pg_class where relnamespace::regnamespace::text = 'public'
    order by 1, 2"""


def folders() -> list[Path]:
    """Folders of server binaries: the named one, and Debian's, the newest first."""
    found = sorted(PACKAGED.glob("*/bin/postgres"), key=lambda program: -int(program.parts[-3]))
    named = os.environ.get(NAMED)
    return [*([Path(named)] if named else []), *(program.parent for program in found)]


@pytest.fixture(scope="module")
def bare() -> Iterator[RealServer]:
    """A new enough PostgreSQL without pgvector."""
    for programs in folders():
        if version_of(programs) >= 15:
            with running(programs) as server:
                if not server.run("select 1 from pg_available_extensions where name = 'vector'"):
                    yield server
                    return
    pytest.skip(f"no PostgreSQL 15 or newer without pgvector below {PACKAGED} or in {NAMED}")


@pytest.fixture(scope="module")
def old() -> Iterator[RealServer]:
    """A PostgreSQL older than 15."""
    for programs in folders():
        if version_of(programs) < 15:
            with running(programs) as server:
                yield server
            return
    pytest.skip(f"no PostgreSQL older than 15 below {PACKAGED}, and {NAMED} names none")


@pytest.fixture
def project(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> Project:
    """A project with a home of its own, in which no server of ours ever runs."""
    made = Project(tmp_path, name, tmp_path / "home", capsys)
    made.write()
    return made


def doctor_refuses(done: Done, words: str) -> None:
    """One line names the fault, and it is exit code 2."""
    assert done.returncode == 2, (done.stdout, done.stderr)
    assert "Traceback" not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.strip().split(": ")[0] for line in lines if words in line] == ["NOT OK  database"], done.stdout
    assert "NOT OK  roles: not looked at, see database" in done.stdout


def every_command_refuses(project: Project, url: str, words: str) -> None:
    doctor_refuses(project.command("doctor", VECTOR_ASSETS_DATABASE_URL=url), words)
    for command in (("status",), ("materialize", project.name), ("search", project.name, "q"), ("plan", project.name)):
        line = refused(project.command(*command, VECTOR_ASSETS_DATABASE_URL=url), words)
        assert len(line) < 400
    assert not (project.home / "postgres.json").exists() and not (project.home / "postgres").exists(), (
        "no server of ours was started instead"
    )


def test_a_server_without_pgvector(project: Project, bare: RealServer) -> None:
    before = bare.run(MADE)
    every_command_refuses(project, bare.url(), "has no pgvector; install the extension vector 0.8 or newer there")
    assert bare.run(MADE) == before, "nothing was made there"


def test_a_server_without_pgvector_in_a_process_of_its_own(project: Project, bare: RealServer) -> None:
    doctor_refuses(project.process("doctor", VECTOR_ASSETS_DATABASE_URL=bare.url()), "has no pgvector")


def test_a_server_that_is_too_old(project: Project, old: RealServer) -> None:
    before = old.run(MADE)
    every_command_refuses(project, old.url(), f"is version {old.version}; expected 15 or newer: upgrade it")
    assert old.run(MADE) == before, "nothing was made there"


def test_a_role_without_rights_on_such_a_server(project: Project, bare: RealServer) -> None:
    bare.run("create role plain login")
    before = bare.run(MADE)
    refused(project.command("status", VECTOR_ASSETS_DATABASE_URL=bare.url(user="plain")), "has no pgvector")
    refused(
        project.command("status", VECTOR_ASSETS_DATABASE_URL=bare.url(user="nobody_here")),
        "cannot be reached", 'role "nobody_here" does not exist',
    )  # fmt: skip
    assert bare.run(MADE) == before
