"""The database: checked, migrated once, with roles; each fault is one line."""

from __future__ import annotations

import threading

import psycopg
import pytest
from fakes import Execute
from pgvector import HalfVector, Vector
from psycopg import sql
from psycopg.pq import TransactionStatus
from real_servers import RealServer

from vector_assets.errors import DatabaseError, UserError
from vector_assets.runtime.home import bundled
from vector_assets.stores import preparing as module
from vector_assets.stores.database import SCHEMAS
from vector_assets.stores.preparing import prepare
from vector_assets.stores.urls import DatabaseUrl


def run(url: DatabaseUrl, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url.libpq, autocommit=True) as connection:
        cursor = connection.execute(statement)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def schemas(url: DatabaseUrl) -> set[str]:
    return {str(row[0]) for row in run(url, "select nspname from pg_namespace where nspname !~ '^(pg_|public|inf)'")}


def test_preparing_migrates_once_and_twice_is_nothing(fresh_database: DatabaseUrl) -> None:
    prepare(fresh_database)
    assert schemas(fresh_database) == set(SCHEMAS)
    migrations = run(fresh_database, "select number, name, applied_at from ops.migrations order by number")
    numbers = sorted(int(path.name[:3]) for path in bundled("sql").glob("*.sql"))
    assert [row[0] for row in migrations] == numbers, "each file once, no number twice"
    state = "select oid, relname, xmin::text from pg_class where relnamespace::regnamespace::text = 'ops' order by 1"
    before = run(fresh_database, state)
    prepare(fresh_database)
    assert run(fresh_database, "select number, name, applied_at from ops.migrations order by number") == migrations
    assert [row[:2] for row in run(fresh_database, state)] == [row[:2] for row in before]


@pytest.mark.parametrize("autocommit", [False, True])
def test_vectors_are_read_as_such_also_where_the_extension_was_made_anew(
    fresh_database: DatabaseUrl, autocommit: bool
) -> None:
    """What is known of its types is kept by a process, and asked anew where their numbers are others."""
    database = prepare(fresh_database)
    numbers = set()
    for _ in range(2):
        for _ in range(2):  # asked, then known
            with database.connect(autocommit=autocommit) as connection:
                assert connection.info.transaction_status == TransactionStatus.IDLE
                row = connection.execute("select '[1,2]'::vector, '[3]'::halfvec, array['[1]'::vector]").fetchone()
                assert row == (Vector([1, 2]), HalfVector([3]), [Vector([1])])
                copied = connection.execute("select %s::vector, %s::halfvec", (Vector([5]), HalfVector([6]))).fetchone()
                assert copied == (Vector([5]), HalfVector([6]))
        numbers.add(run(fresh_database, "select to_regtype('vector')::oid::bigint")[0])
        run(fresh_database, "drop extension vector cascade")
        run(fresh_database, "create extension vector")
    assert len(numbers) == 2


def test_many_prepare_at_once(fresh_database: DatabaseUrl) -> None:
    failed: list[Exception] = []

    def one(prefix: str) -> None:
        try:
            prepare(fresh_database, prefix)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(prefix,)) for prefix in ("", "", "", "b_")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert len(schemas(fresh_database)) == 8


def test_a_prefix_keeps_installations_apart(fresh_database: DatabaseUrl) -> None:
    prepare(fresh_database, "team_")
    assert schemas(fresh_database) == {f"team_{name}" for name in SCHEMAS}
    prepare(fresh_database)
    assert len(schemas(fresh_database)) == 8
    with pytest.raises(DatabaseError, match="VECTOR_ASSETS_SCHEMA_PREFIX is 'Bad-'"):
        prepare(fresh_database, "Bad-")


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_of_somebody_else_is_left_alone(fresh_database: DatabaseUrl, name: str) -> None:
    run(fresh_database, f"create schema {name}")
    with pytest.raises(DatabaseError, match=f"schema {name} exists and was not made by vector_assets") as caught:
        prepare(fresh_database)
    assert "VECTOR_ASSETS_SCHEMA_PREFIX" in str(caught.value)
    assert schemas(fresh_database) == {name}, "nothing half-made"
    assert prepare(fresh_database, "ours_").names.prefix == "ours_"


def test_a_failing_migration_leaves_nothing(fresh_database: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: object, names: object) -> None:
        raise psycopg.errors.InternalError("broken")

    monkeypatch.setattr(module, "_ensure_roles", broken)
    with pytest.raises(psycopg.errors.InternalError):
        prepare(fresh_database)
    assert schemas(fresh_database) == set()


def test_a_server_that_cannot_be_reached_is_one_line_without_the_password() -> None:
    url = DatabaseUrl.parse("postgresql://me:s3cr3t@127.0.0.1:1/db", name="VECTOR_ASSETS_DATABASE_URL")
    with pytest.raises(DatabaseError) as caught:
        prepare(url)
    message = str(caught.value)
    assert isinstance(caught.value, UserError)
    assert "\n" not in message
    assert "s3cr3t" not in message
    assert message.startswith("Postgres at postgresql://me:***@127.0.0.1:1/db cannot be reached: ")
    assert message.endswith("; start it or correct the URL")
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_wrong_password_is_never_shown(fresh_database: DatabaseUrl) -> None:
    url = DatabaseUrl(fresh_database.url.set(username="nobody_here", password="s3cr3t"))
    with pytest.raises(DatabaseError) as caught:
        prepare(url)
    assert "s3cr3t" not in str(caught.value)
    assert "nobody_here" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("not a url", "X is not a URL; expected postgresql://"),
        ("mysql://a:s3cr3t@h/db", "X names mysql; expected postgresql://"),
        ("sqlite:///file.db", "X names sqlite; expected postgresql://"),
        ("postgresql://a:s3cr3t@h:port/db", "X is not a URL; expected postgresql://"),
    ],
)
def test_other_urls_are_refused(text: str, message: str) -> None:
    with pytest.raises(DatabaseError) as caught:
        DatabaseUrl.parse(text, name="X")
    assert str(caught.value).startswith(message)
    assert "s3cr3t" not in str(caught.value)


def test_a_url_is_spelled_for_each_driver() -> None:
    for text in ("postgresql://u:p%40@h/db", "postgres://u:p%40@h/db", "postgresql+psycopg2://u:p%40@h/db"):
        url = DatabaseUrl.parse(text, name="X")
        assert url.libpq == "postgresql://u:p%40@h/db"
        assert url.sqlalchemy == "postgresql+psycopg://u:p%40@h/db"
        assert url.dagster == "postgresql+psycopg2://u:p%40@h/db"
        assert url.shown == "postgresql://u:***@h/db"
        assert url.user("r").libpq == "postgresql://r@h/db"


class OldServer:
    """Stands for a server that cannot be installed here: only its version and its extension are asked for."""

    def __init__(self, version: int, made: str | None, installed: str | None) -> None:
        self.server_version = version
        self.extension = (made, installed)
        self.info = self

    def parameter_status(self, name: str) -> str:
        return {"server_encoding": "UTF8"}[name]

    def execute(self, query: str) -> OldServer:
        return self

    def fetchone(self) -> tuple[str | None, str | None]:
        return self.extension


@pytest.mark.parametrize(
    ("version", "made", "installed", "message"),
    [
        (140012, "0.8.0", "0.8.0", "is version 14; expected 15 or newer: upgrade it"),
        (150000, None, None, "has no pgvector; install the extension vector 0.8 or newer there"),
        (150000, "0.7.4", "0.8.0", "is 0.7.4; expected 0.8 or newer: alter extension vector update, in this database"),
        (150000, "0.7.4", "0.7.4", "expected 0.8 or newer: install that on the server, then alter extension vector"),
        (150000, None, "0.7.4", "is 0.7.4; expected 0.8 or newer: install that on the server$"),
    ],
)
def test_an_old_server_or_extension_is_one_line(
    version: int, made: str | None, installed: str | None, message: str
) -> None:
    url = DatabaseUrl.parse("postgresql://me:s3cr3t@h/db", name="X")
    server = OldServer(version, made, installed)
    with pytest.raises(DatabaseError, match=message) as caught:
        module._check_server(server, url)  # type: ignore[arg-type]
        module._ensure_extension(server, url)  # type: ignore[arg-type]
    assert "s3cr3t" not in str(caught.value)


def test_a_database_in_another_encoding_is_refused(server: RealServer, name: str) -> None:
    server.run(f"create database {name} encoding 'LATIN1' locale 'C' template template0")
    try:
        before = server.run("select nspname from pg_namespace order by 1", database=name)
        with pytest.raises(DatabaseError, match="is a database in LATIN1; expected UTF8: create database"):
            prepare(DatabaseUrl.parse(server.url(name), name="the test"))
        assert server.run("select nspname from pg_namespace order by 1", database=name) == before
    finally:
        server.run(f"drop database {name}")


def test_a_role_that_may_not_create_the_extension_is_told_so(fresh_database: DatabaseUrl) -> None:
    role = fresh_database.url.database + "_owner"  # type: ignore[operator]
    run(fresh_database, f"create role {role} login; grant create on database {fresh_database.url.database} to {role}")
    try:
        # pgvector is a trusted extension where its files say so; then this role may create it.
        trusted = run(fresh_database, "select trusted from pg_available_extension_versions where name = 'vector'")
        if trusted[0][0]:
            assert prepare(fresh_database.user(role))
            return
        with pytest.raises(DatabaseError, match="as an administrator: create extension vector"):
            prepare(fresh_database.user(role))
    finally:
        run(fresh_database, f"drop owned by {role} cascade; drop role {role}")


def test_the_reader_sees_the_search_schema_only(fresh_database: DatabaseUrl) -> None:
    prepare(fresh_database)
    reader = fresh_database.user("vector_assets_reader")
    assert run(reader, "select * from search.live") == []
    for table in ("ops.generations", "ops.checkpoints", "ops.failures"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(reader, f"select 1 from {table}")
    for name in ("raw", "embedding", "search"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(reader, f"create table {name}.t (x integer)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(reader, "insert into search.checkpoints values ('x', 'y', '{}')")


def test_the_reader_searches_but_reads_no_table(
    workspace: object, execute: Execute, declare: object, animals: object, name: str
) -> None:
    from fakes import FakeStore, KeywordEncoder

    animals(8)  # type: ignore[operator]
    store = FakeStore(workspace, declare(), KeywordEncoder())  # type: ignore[arg-type,operator]
    store.embed()
    store.swap(store.all()[0], because="test")
    reader = store.workspace.addresses.database.user("vector_assets_reader")
    assert len(run(reader, f"select * from search.{name}('[1,0,0,0,0]', 3)")) == 3
    assert len(run(reader, f"select * from search.{name}_rows")) == 8
    for table in (f"embedding.{name}_g1", f"embedding.{name}_g1_rows", f"public.{name}"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(reader, f"select 1 from {table}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(reader, f"drop function search.{name}(vector, integer, text, boolean, jsonb)")
    execute(f"create role {name}_other login; grant usage on schema search to {name}_other")
    try:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            run(reader.user(f"{name}_other"), f"select * from search.{name}('[1,0,0,0,0]', 3)")
    finally:
        other = sql.Identifier(f"{name}_other")
        execute(sql.SQL("drop owned by {}; drop role {}").format(other, other))


def test_a_role_that_may_not_create_schemas_is_told_so(fresh_database: DatabaseUrl) -> None:
    role = f"{fresh_database.url.database}_plain"
    run(fresh_database, f"create role {role} login; create extension vector")
    try:
        with pytest.raises(DatabaseError, match=f"{role} may not .*permission denied.*grant create on database"):
            prepare(fresh_database.user(role))
        assert schemas(fresh_database) == set()
        prepare(fresh_database)
        with pytest.raises(DatabaseError, match=f"{role} may not .*permission denied for schema ops"):
            prepare(fresh_database.user(role))
    finally:
        run(fresh_database, f"drop role {role}")
