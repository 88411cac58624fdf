"""Bad input is one line, exit code 2, no traceback, and leaves nothing half-written behind.

What a reader, the declaration or an encoder says of its own input is tested beside them (tests/source, tests/spec,
tests/encoder, tests/runtime, tests/stores); here it goes through the command line, as people meet it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from fakes import Execute

from vector_assets.assets import resources
from vector_assets.cli import main
from vector_assets.stores.workspace import Workspace

DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: file, path: rows.jsonl}}
  fields: {{text: text}}
  spaces:
    text: {{fields: [text], encoder: {model}}}
"""
GOOD = '{"id": "a", "text": "b1"}\n{"id": "b", "text": "b2"}\n'


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Project:
    """A project on disk, and the command line on it in a process of its own."""

    root: Path
    name: str
    home: Path

    @property
    def folder(self) -> Path:
        return self.root / "defs" / self.name

    def write(self, declaration: str = DECLARATION, *, rows: str | None = GOOD, model: str = "minilm") -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "defs.yaml").write_text(declaration.format(name=self.name, model=model))
        if rows is not None:
            (self.folder / "rows.jsonl").write_text(rows)

    capsys: pytest.CaptureFixture[str]

    def command(self, *arguments: str, **environment: str) -> Done:
        """Run the command line in this process, which saves its imports; the environment is as before afterwards."""
        before, argv = dict(os.environ), sys.argv
        self.capsys.readouterr()
        resources._workspace.cache_clear()
        try:
            os.environ.clear()
            os.environ.update(self.environment(environment))
            sys.argv = ["vector-assets", *self.arguments(arguments)]
            with pytest.raises(SystemExit) as stopped:
                main()
        finally:
            sys.argv = argv
            os.environ.clear()
            os.environ.update(before)
            resources._workspace.cache_clear()
        said = self.capsys.readouterr()
        return Done(int(stopped.value.code or 0), said.out, said.err)

    def process(self, *arguments: str, **environment: str) -> Done:
        """Run the command line as people do."""
        done = subprocess.run(
            [sys.executable, "-m", "vector_assets.cli", *self.arguments(arguments)],
            env=self.environment(environment), capture_output=True, text=True, check=False, cwd=self.root,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def arguments(self, given: Sequence[str]) -> list[str]:
        return [*given, "--project", str(self.root)]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("VECTOR_ASSETS_", "DAGSTER_"))}
        return {**clean, "VECTOR_ASSETS_HOME": str(self.home), **more}


@pytest.fixture
def project(
    workspace: Workspace, session_home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> Project:
    return Project(tmp_path, name, session_home, capsys)


def refused(done: Done, *words: str) -> str:
    """The one line; everything that a person needs is in it."""
    said = done.stderr.strip()
    assert done.returncode == 2, (done.returncode, done.stdout, said)
    assert "Traceback" not in said + done.stdout
    last = said.splitlines()[-1]
    assert last.startswith("error: "), said
    for word in words:
        assert word in last, (word, last)
    return last


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("  filds: {text: text}", ("defs.yaml:8", "filds", "fields")),
        ("  index: {recall: high}", ("defs.yaml:8", "index.recall", "number")),
        ("  filters: [price]", ("defs.yaml", "price", "text")),
        ("  keep_generations: 0", ("defs.yaml:8", "keep_generations", "1")),
    ],
)
def test_a_wrong_declaration(project: Project, wrong: str, words: tuple[str, ...]) -> None:
    project.write(DECLARATION + wrong.replace("{", "{{").replace("}", "}}") + "\n")
    refused(project.command("check"), *words)
    refused(project.command("materialize", project.name), *words)


def test_a_wrong_declaration_in_a_process_of_its_own(project: Project) -> None:
    project.write(DECLARATION + "  filds: 1\n")
    refused(project.process("check"), "filds")


def raw_is_untouched(execute: Execute, name: str) -> bool:
    made = execute("select to_regclass(%s) is not null", (f"raw.{name}",))
    known = execute("select count(*) from ops.collections where name = %s", (name,))
    return made == [(False,)] and known == [(0,)]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, ("rows.jsonl", "no such file")),
        ('{"id": "a", "text": "x"}\n{"text": "y"}\n', ("rows.jsonl:2", "the row has no id")),
        ('{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', ("rows.jsonl:2", "'a' stands twice")),
        ("not json\n", ("rows.jsonl:1", "not one row of the source can be read")),
    ],
)
def test_wrong_rows(project: Project, execute: Execute, rows: str | None, words: tuple[str, ...]) -> None:
    project.write(rows=rows)
    refused(project.command("materialize", project.name, "--stage", "raw"), *words)
    assert raw_is_untouched(execute, project.name)


@pytest.mark.parametrize(
    ("source", "variables", "words"),
    [
        ("{kind: sql, url: 'sqlite:///a', table: t}", {}, ("defs.yaml:4", "source.url", "is written out")),
        ("{kind: sql, url: '{{ env.SHOP }}', table: t}", {}, ("the variable SHOP is not set",)),
        ("{kind: sql, url: '{{ env.SHOP }}', table: t}", {"SHOP": "sqlite:////none"}, ("/none: no such file",)),
        ("{kind: queue, queue: inbox_nowhere}", {}, ("no table with position and message", "create table")),
        ("{kind: queue, queue: q, url: '{{ env.SHOP }}'}", {"SHOP": "redis://:hunter2@127.0.0.1:9"}, ("queue q",)),
        ("{kind: file, path: 'a/{date}/*.csv', partition: day}", {}, ("defs.yaml:4", "since")),
    ],
)
def test_a_wrong_source(
    project: Project, execute: Execute, source: str, variables: dict[str, str], words: tuple[str, ...]
) -> None:
    declared = DECLARATION.replace("{{kind: file, path: rows.jsonl}}", source.replace("{", "{{").replace("}", "}}"))
    project.write(declared, rows=None)
    for command in (["plan", project.name], ["materialize", project.name, "--stage", "raw"]):
        assert "hunter2" not in refused(project.command(*command, **variables), *words)
    assert raw_is_untouched(execute, project.name)


def test_one_unreadable_line_is_set_aside_and_the_rest_goes_on(project: Project, execute: Execute) -> None:
    project.write(rows=GOOD + "{broken\n")
    done = project.command("materialize", project.name, "--stage", "raw")
    assert done.returncode == 0, done.stderr
    assert execute(f"select id from raw.{project.name} order by id") == [("a",), ("b",)]
    ((where, error),) = execute("select row_key, error from ops.failures where collection = %s", (project.name,))
    assert str(where).endswith("rows.jsonl:3")
    assert "JSON" in str(error)


def test_a_missing_table(project: Project) -> None:
    project.write(DECLARATION.replace("kind: file, path: rows.jsonl", f"kind: postgres, table: none_{project.name}"))
    refused(
        project.command("materialize", project.name, "--stage", "raw"), f"public.none_{project.name} does not exist"
    )


def test_an_unknown_collection_stage_or_command(project: Project) -> None:
    project.write()
    refused(project.command("materialize", project.name + "x"), f"no collection '{project.name}x'", project.name)
    refused(project.command("materialize", project.name, "--stage", "embedings"), "embedings", "embeddings")
    refused(project.command("search", project.name + "x", "q"), "no collection")
    done = project.process("no-such-command")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_a_search_before_the_first_run(project: Project) -> None:
    project.write()
    done = project.command("search", project.name, "anything")
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert f"run vector-assets materialize {project.name}" in done.stderr


def test_postgres_that_cannot_be_reached(project: Project) -> None:
    project.write()
    url = "postgresql://me:s3cr3t@127.0.0.1:1/db"
    done = project.command("status", project.name, VECTOR_ASSETS_DATABASE_URL=url)
    refused(done, "Postgres at postgresql://me:***@127.0.0.1:1/db cannot be reached")
    assert "s3cr3t" not in done.stdout + done.stderr
    done = project.process("materialize", project.name, VECTOR_ASSETS_DATABASE_URL=url)
    refused(done, "cannot be reached")
    assert "s3cr3t" not in done.stdout + done.stderr
    refused(project.command("status", VECTOR_ASSETS_DATABASE_URL="mysql://a:b@c/d"), "names mysql; expected postgresql")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("tokenizer", ("tokenizer.json is missing",)),
        ("pickle", ("the weights are a pickle (pytorch_model.bin)", "convert to safetensors")),
        ("absent", ("no such folder", "is no folder", "config.json is missing", "not a folder")),
    ],
)
def test_a_model_folder_that_cannot_be_used(
    project: Project, execute: Execute, tiny_model: Path, spoil: str, words: tuple[str, ...]
) -> None:
    import shutil

    model = project.root / "model"
    if spoil != "absent":
        shutil.copytree(tiny_model, model)
    if spoil == "tokenizer":
        (model / "tokenizer.json").unlink()
    if spoil == "pickle":
        (model / "model.safetensors").rename(model / "pytorch_model.bin")
    project.write(model=str(model))
    done = project.command("materialize", project.name, "--stage", "raw", "--stage", "encoder")
    line = refused(done, str(model))
    assert any(word in line for word in words), line
    assert execute("select count(*) from ops.encoders where collection = %s", (project.name,)) == [(0,)]
    stored = project.home / "artifacts" / "checkpoints"
    assert not list(stored.glob(".making-*")) if stored.exists() else True


def test_a_home_that_cannot_be_made(project: Project) -> None:
    project.write()
    blocked = project.root / "file"
    blocked.write_text("not a folder")
    done = project.command("status", VECTOR_ASSETS_HOME=str(blocked / "home"))
    refused(done, str(blocked), "VECTOR_ASSETS_HOME")


def test_a_database_of_somebody_else_is_left_alone(project: Project, workspace: Workspace) -> None:
    project.write()
    other = workspace.addresses.database.database(f"theirs_{project.name}")
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute(f"create database theirs_{project.name}")  # type: ignore[arg-type]
    try:
        with psycopg.connect(other.libpq, autocommit=True) as connection:
            connection.execute("create schema raw")
        done = project.command("status", project.name, VECTOR_ASSETS_DATABASE_URL=other.libpq)
        refused(done, "schema raw exists and was not made by vector_assets", "VECTOR_ASSETS_SCHEMA_PREFIX")
        with psycopg.connect(other.libpq) as connection:
            rows = connection.execute(
                "select nspname from pg_namespace where nspname in ('ops', 'search', 'embedding')"
            )
            assert rows.fetchall() == []
    finally:
        with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
            connection.execute(f"drop database theirs_{project.name} with (force)")  # type: ignore[arg-type]
