"""Bad input is one line, exit code 2, no traceback, and leaves nothing half-written behind.

What a part says of its own input is tested beside it, a server without pgvector or too old in
tests/stores/test_real_servers.py; here it goes through the command line, as people meet it.
"""

from __future__ import annotations

import shutil
import socket
from pathlib import Path

import psycopg
import pytest
from command_line import DECLARATION, GOOD, Project, refused
from fakes import Execute

from vector_assets.stores.workspace import Workspace


@pytest.fixture
def project(
    workspace: Workspace, session_home: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> Project:
    return Project(tmp_path, name, session_home, capsys)


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


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (None, "no such file"),
        (GOOD + '{"text": "y"}\n', "the row has no id"),
        (GOOD + '{"id": "a", "text": "y"}\n', "stands twice"),
    ],
)
def test_what_was_read_before_stays_whole(project: Project, execute: Execute, rows: str | None, words: str) -> None:
    project.write()
    assert project.command("materialize", project.name, "--stage", "raw").returncode == 0
    state = f"select id, text, xmin::text from raw.{project.name} order by id"
    before = execute(state)
    assert len(before) == 2
    if rows is None:
        (project.folder / "rows.jsonl").unlink()
    else:
        (project.folder / "rows.jsonl").write_text(rows.replace("b1", "other"))
    refused(project.command("materialize", project.name, "--stage", "raw"), words)
    assert execute(state) == before, "not one row of the reading that failed"


def test_a_file_that_is_no_declaration(project: Project) -> None:
    project.write("a: [b\n")
    refused(project.command("check"), "defs.yaml:2", "not YAML")
    refused(project.command("status"), "defs.yaml:2", "not YAML")
    project.write("")
    refused(project.command("check"), "defs.yaml:1", "is empty", "attributes:")


def test_a_declaration_is_not_made_from_what_is_not_there(project: Project) -> None:
    project.write()
    nothing = project.root / "none.jsonl"
    refused(project.command("new", "fresh", "--from", str(nothing)), str(nothing), "no such file")
    refused(project.command("new", "fresh", "--from", "sqlite:///shop.db"), "sqlite:…", "env:WAREHOUSE_URL#")
    refused(project.command("new", "fresh", "--from", "table:none_here"), "public.none_here does not exist")
    refused(project.command("new", "fresh", "--from", "table:none_here", "--id", "n"), "--id n: ", "primary key")
    refused(project.command("new", "fresh", "--from", str(project.folder)), "is a folder", "glob")
    assert not (project.root / "defs" / "fresh").exists()
    before, rows = (project.folder / "defs.yaml").read_text(), str(project.folder / "rows.jsonl")
    refused(project.command("new", project.name, "--from", rows), "defs.yaml exists")
    refused(project.command("new", "Bad Name", "--from", rows), "'Bad Name'", "small letter")
    assert (project.folder / "defs.yaml").read_text() == before


def test_a_project_that_is_not_there(project: Project) -> None:
    project.root = project.root / "none"
    for command in (("status",), ("check",), ("materialize", "x")):
        refused(project.command(*command), f"{project.root} is no folder", "vector-assets init")
    assert not project.root.exists()


def test_a_port_in_use_or_none(project: Project) -> None:
    project.write()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused(project.command("up", "--port", port), f"port {port} in use", "choose another with --port")
        refused(project.command("up", "--mlflow-port", port), f"port {port} in use", "--mlflow-port")
    refused(project.command("up", "--port", "4000", "--mlflow-port", "4000"), "both 4000", "choose two")
    refused(project.command("up", "--port", "99999"), "99999", "1 to 65535")
    refused(project.command("up", "--host", "0.0.0.0"), "VECTOR_ASSETS_TOKEN")


def test_a_question_or_method_that_makes_no_sense(project: Project) -> None:
    project.write()
    for command in (("search", project.name, "q"), ("evaluate", project.name)):
        refused(project.command(*command, "--method", "fuzzy"), "--method fuzzy", "vector or exact")
    refused(project.command("search", project.name, " "), "the question is empty")
    refused(project.command("search", project.name, "q", "-k", "0"), "-k", "1<=x<=1000")
    refused(project.command("evaluate", project.name, "--queries", "q.jsonl"), "--queries and --qrels belong together")


def test_there_is_nothing_to_promote_or_take_back(project: Project) -> None:
    project.write()
    refused(project.command("promote", project.name, "--because", "x"), "there is no candidate to promote")
    refused(project.command("promote", project.name), "--because")
    refused(project.command("rollback", project.name), "no retired generation")
    refused(project.command("evaluate", project.name), "no live generation")


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
    done = project.command("status", VECTOR_ASSETS_ARTIFACTS=str(blocked / "artifacts"))
    refused(done, str(blocked), "name another with VECTOR_ASSETS_ARTIFACTS")


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
