"""A connection is lent again only where nothing of what was done with it is left."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import psycopg
import pytest
from real_servers import RealServer

from vector_assets.stores import connections
from vector_assets.stores.connections import Connection, close_all, lend
from vector_assets.stores.urls import DatabaseUrl


@pytest.fixture(scope="module")
def address(server: RealServer) -> Iterator[DatabaseUrl]:
    """A database that nobody else connects to."""
    name = f"lent_{os.getpid()}"
    server.run(f"create database {name}")
    server.run("create extension vector", database=name)
    yield DatabaseUrl.parse(server.url(name), name="the tests")
    server.run(f"drop database {name}")  # without force: nothing is left there


@pytest.fixture
def url(address: DatabaseUrl) -> Iterator[DatabaseUrl]:
    """Its URL, with nothing that waits."""
    close_all()
    yield address
    close_all()


def backend(connection: Connection) -> int:
    return connection.info.backend_pid


def value(connection: Connection, query: str) -> object:
    row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    return row and row[0]


def test_what_was_given_back_is_lent_again(url: DatabaseUrl) -> None:
    with lend(url) as first:
        one = backend(first)
    with lend(url) as again, lend(url) as beside:
        assert backend(again) == one != backend(beside)


def test_nothing_of_the_one_before_is_left(url: DatabaseUrl) -> None:
    settings = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where source = 'session'"
    with lend(url) as connection:
        one = backend(connection)
        connection.execute("create sequence lent_numbers; select nextval('lent_numbers')")
        connection.execute("set work_mem = '5MB'; set role pg_read_all_data")
        connection.execute("create temporary table seen (n int); select pg_advisory_lock(7)")
        connection.execute("listen news; declare rows cursor with hold for select 1")
        for _ in range(8):  # psycopg prepares what is asked often
            connection.execute("select count(*) from seen where n > %s", (1,))
        assert value(connection, "select count(*) from pg_prepared_statements") == 1
    with lend(url) as connection:
        assert backend(connection) == one
        assert value(connection, "select current_user = session_user") is True
        assert value(connection, "show work_mem") != "5MB" and value(connection, settings) is None
        assert value(connection, "show timezone") == "UTC", "what is pinned stays"
        assert value(connection, "select to_regclass('seen')") is None
        assert value(connection, "select count(*) from pg_locks where locktype = 'advisory'") == 0
        assert value(connection, "select count(*) from pg_cursors") == 0
        assert value(connection, "select count(*) from pg_listening_channels()") == 0
        assert value(connection, "select count(*) from pg_prepared_statements") == 0
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
            connection.execute("select lastval()")
        connection.execute("drop sequence lent_numbers; create temporary table seen (m text, n int)")
        for _ in range(8):
            connection.execute("select count(*) from seen where n > %s", (1,))


@pytest.mark.parametrize("autocommit", [False, True])
def test_a_transaction_ends_with_the_block_and_its_kind_with_it(url: DatabaseUrl, autocommit: bool) -> None:
    with lend(url) as connection:
        one = backend(connection)
        connection.autocommit = autocommit
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        connection.execute("create table lent_rows (n int)")
    with lend(url) as connection:
        assert backend(connection) == one and connection.autocommit and connection.isolation_level is None
        connection.autocommit = False
        assert value(connection, "show transaction_isolation") == "read committed"
        connection.execute("drop table lent_rows")


def test_a_transaction_that_sql_began_is_committed(url: DatabaseUrl) -> None:
    with lend(url) as connection:
        one = backend(connection)
        connection.execute("begin")
        connection.execute("create table lent_rows (n int)")
    with lend(url) as connection:
        assert backend(connection) == one
        connection.execute("drop table lent_rows")


def test_what_was_written_is_counted_when_the_block_ends(url: DatabaseUrl) -> None:
    counted = "select coalesce(sum(n_tup_ins), 0) from pg_stat_user_tables where relname = 'lent_rows'"
    with psycopg.connect(url.libpq, autocommit=True) as other:
        other.execute("create table lent_rows (n int)")
        for rows in range(1, 6):  # a process that goes on tells of them once a second at most
            with lend(url) as connection:
                connection.execute("insert into lent_rows values (1)")
            assert value(other, counted) == rows
        other.execute("drop table lent_rows")


def test_a_server_that_goes_after_the_commit_takes_nothing_back(url: DatabaseUrl, server: RealServer) -> None:
    with lend(url) as connection:
        connection.autocommit = False
        connection.execute("create table lent_rows (n int)")
        connection.commit()
        server.run(f"select pg_terminate_backend({backend(connection)}, 5000)")
    assert connection.closed
    with lend(url) as connection:
        connection.execute("drop table lent_rows")


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, GeneratorExit])
def test_one_whose_block_failed_is_closed_and_its_transaction_undone(
    url: DatabaseUrl, error: type[BaseException]
) -> None:
    with pytest.raises(error), lend(url) as connection:
        one = connection
        connection.autocommit = False
        connection.execute("create table lent_rows (n int)")
        raise error
    assert one.closed
    with lend(url) as connection:
        assert value(connection, "select to_regclass('lent_rows')") is None


def test_rows_that_nobody_read_to_the_end_are_in_nobodys_way(url: DatabaseUrl) -> None:
    def numbers() -> Iterator[object]:
        with lend(url) as connection:
            connection.autocommit = False
            with connection.cursor(name="numbers") as cursor:
                yield from cursor.execute("select generate_series(1, 100000)")

    reading = numbers()
    next(reading)
    del reading
    with lend(url) as connection:
        assert value(connection, "select 1") == 1


def test_a_server_that_went_away_and_came_back_is_asked_anew(url: DatabaseUrl, server: RealServer) -> None:
    with lend(url) as first, lend(url) as second:
        ended = {backend(first), backend(second)}
    for one in ended:
        server.run(f"select pg_terminate_backend({one}, 5000)")
    with lend(url) as first, lend(url) as second:
        assert not {backend(first), backend(second)} & ended


def test_one_that_waited_too_long_is_not_trusted(url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    with lend(url) as connection:
        one = connection
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.0)
    with lend(url) as connection:
        assert backend(connection) > 0 and one.closed and connection is not one


def test_one_that_is_old_is_replaced(url: DatabaseUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LIFE_SECONDS", 0)
    with lend(url) as connection:
        one = connection
    with lend(url) as connection:
        assert connection is not one and one.closed


def test_only_a_few_wait_and_all_end_with_the_process(url: DatabaseUrl) -> None:
    meet = threading.Barrier(connections.KEPT + 4)
    lent = []

    def hold() -> None:
        with lend(url) as connection:
            lent.append(connection)
            meet.wait(timeout=30)

    threads = [threading.Thread(target=hold) for _ in range(meet.parties)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in lent}) == meet.parties
    assert sum(not one.closed for one in lent) == connections.KEPT
    close_all()
    assert all(one.closed for one in lent)


def test_a_child_has_connections_of_its_own(url: DatabaseUrl) -> None:
    with lend(url) as connection:
        one = backend(connection)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with lend(url) as connection:
                os.write(write, str(backend(connection)).encode())
            os._exit(0)
        finally:  # whatever happens, it does not go on as a second pytest
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert int(os.read(read, 20)) != one
    for end in (read, write):
        os.close(end)
    with lend(url) as connection:
        assert backend(connection) == one, "the child ended its parent's connection"


def test_types_that_were_made_anew_are_known_by_their_new_numbers(url: DatabaseUrl) -> None:
    for _ in range(2):
        with lend(url) as connection:
            assert not isinstance(value(connection, "select '[1,2]'::vector"), str), "pgvector's types are not known"
        with psycopg.connect(url.libpq) as other:
            other.execute("drop extension vector; create extension vector")
