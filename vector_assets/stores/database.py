"""Connections to our database: checked, migrated, with pinned session settings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from pgvector.psycopg import register_vector
from psycopg import sql

from vector_assets.errors import DatabaseError
from vector_assets.runtime.home import bundled
from vector_assets.stores.urls import DatabaseUrl

Connection = psycopg.Connection[tuple[object, ...]]

SCHEMAS = ("raw", "embedding", "search", "ops")
WRITER = "vector_assets_writer"
READER = "vector_assets_reader"
# A digest is the hash of a row's text in JSON; whatever changes that text must not depend on the session.
PINNED = (
    "-c timezone=UTC -c datestyle=ISO,YMD -c extra_float_digits=1 -c bytea_output=hex -c intervalstyle=postgres "
    "-c row_security=off -c client_min_messages=warning"
)


@dataclass(frozen=True, slots=True)
class Names:
    """Our schemas' names; a prefix keeps several installations apart on one server."""

    prefix: str = ""

    def schema(self, name: str) -> sql.Identifier:
        """Return one of our schemas as a quoted identifier."""
        return sql.Identifier(self.prefix + name)

    def table(self, schema: str, name: str) -> sql.Identifier:
        """Return a table in one of our schemas."""
        return sql.Identifier(self.prefix + schema, name)

    def compose(self, text: str, **more: sql.Composable) -> sql.Composed:
        """Fill ``{raw}``, ``{embedding}``, ``{search}``, ``{ops}`` and ``more`` into SQL of ours."""
        return sql.SQL(text).format(**{name: self.schema(name) for name in SCHEMAS}, **more)


@dataclass(frozen=True, slots=True)
class Database:
    """Our database. Writers connect through it; search has a reader of its own (stores/reader.py)."""

    url: DatabaseUrl
    names: Names

    @contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[Connection]:
        """Open a writer's connection with pinned settings; commit at the end, roll back on error."""
        with open_connection(self.url, options=PINNED, autocommit=autocommit) as connection:
            register_vector(connection)
            yield connection

    def compose(self, text: str, **more: sql.Composable) -> sql.Composed:
        """Fill schema names into SQL of ours."""
        return self.names.compose(text, **more)


@contextmanager
def open_connection(url: DatabaseUrl, *, options: str, autocommit: bool = False) -> Iterator[Connection]:
    """Connect or raise DatabaseError with one line; keeps ``options`` that the URL already has."""
    given = str(url.url.query.get("options", ""))
    try:
        connection: Connection = psycopg.connect(
            url.libpq, options=f"{given} {options}".strip(), autocommit=autocommit, connect_timeout=10
        )
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(
            f"Postgres at {url.shown} cannot be reached: {reason}; start it or correct the URL"
        ) from None
    with connection:
        yield connection


def prepare(url: DatabaseUrl, prefix: str = "") -> Database:
    """Check the server, create what is missing, migrate, and return the database.

    Raises DatabaseError when Postgres is older than 15, pgvector is missing or older than 0.8, a schema of our name
    was made by somebody else, or the role may not make or use ours.
    """
    names = Names(prefix)
    if prefix and not re.fullmatch(r"[a-z][a-z0-9_]{0,19}", prefix):
        raise DatabaseError(
            f"VECTOR_ASSETS_SCHEMA_PREFIX is {prefix!r}; expected small letters, digits and _, 20 at most"
        )
    with open_connection(url, options=PINNED) as connection:
        _check_server(connection, url)
        connection.execute("select pg_advisory_xact_lock(hashtextextended('vector_assets migrate', 0))")
        _ensure_extension(connection, url)
        try:
            _migrate(connection, names)
        except psycopg.errors.InsufficientPrivilege as error:
            raise DatabaseError(
                f"role {connection.info.user} may not make or use our schemas in {url.shown}: "
                f"{error.diag.message_primary}; connect as their owner, or as an administrator: "
                f"grant create on database {connection.info.dbname} to {connection.info.user}"
            ) from None
        _ensure_roles(connection, names)
    return Database(url, names)


def _migrate(connection: Connection, names: Names) -> None:
    applied = _ensure_schemas(connection, names)
    for path in sorted(bundled("sql").glob("[0-9][0-9][0-9]_*.sql")):
        number = int(path.name[:3])
        if number not in applied:
            connection.execute(names.compose(path.read_text()))
            connection.execute(
                names.compose("insert into {ops}.migrations (number, name) values (%s, %s)"), (number, path.name)
            )


def _check_server(connection: Connection, url: DatabaseUrl) -> None:
    version = connection.info.server_version
    if version < 150000:
        raise DatabaseError(f"Postgres at {url.shown} is version {version // 10000}; expected 15 or newer: upgrade it")


def _ensure_extension(connection: Connection, url: DatabaseUrl) -> None:
    row = connection.execute(
        "select coalesce((select extversion from pg_extension where extname = 'vector'), "
        "(select default_version from pg_available_extensions where name = 'vector'))"
    ).fetchone()
    version = str(row[0]) if row and row[0] else None
    if version is None:
        raise DatabaseError(f"Postgres at {url.shown} has no pgvector; install the extension vector 0.8 or newer there")
    if tuple(int(part) for part in version.split(".")[:2]) < (0, 8):
        raise DatabaseError(
            f"pgvector at {url.shown} is {version}; expected 0.8 or newer: alter extension vector update"
        )
    try:
        connection.execute("create extension if not exists vector")
    except psycopg.errors.InsufficientPrivilege:
        raise DatabaseError(
            f"pgvector is not created in {url.shown} and this role may not; as an administrator: "
            "create extension vector"
        ) from None


def _ensure_schemas(connection: Connection, names: Names) -> set[int]:
    """Create our schemas, or make sure they are ours; return the migrations already applied."""
    ops = names.prefix + "ops"
    ours = connection.execute("select to_regclass(format('%%I.migrations', %s::text)) is not null", (ops,)).fetchone()
    if ours and ours[0]:
        rows = connection.execute(names.compose("select number from {ops}.migrations")).fetchall()
        return {int(str(row[0])) for row in rows}
    wanted = [names.prefix + name for name in SCHEMAS]
    taken = connection.execute("select nspname from pg_namespace where nspname = any(%s)", (wanted,)).fetchall()
    if taken:
        raise DatabaseError(
            f"schema {taken[0][0]} exists and was not made by vector_assets; set "
            "VECTOR_ASSETS_SCHEMA_PREFIX to use others"
        )
    for name in SCHEMAS:
        connection.execute(sql.SQL("create schema {}").format(names.schema(name)))
    connection.execute(
        names.compose(
            "create table {ops}.migrations (number integer primary key, name text not null, "
            "applied_at timestamptz not null default now())"
        )
    )
    return set()


def _ensure_roles(connection: Connection, names: Names) -> None:
    """Create the reader where we may; doctor prints the SQL for an administrator where we may not."""
    try:
        with connection.transaction():
            for role in (READER, WRITER):
                if not connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
                    connection.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
            connection.execute(role_grants(names))
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedObject):
        return


def role_grants(names: Names) -> sql.Composed:
    """Return the grants that our roles need: the reader sees the search schema only."""
    return names.compose(
        "grant usage on schema {search} to {reader}; grant select on all tables in schema {search} to {reader}; "
        "alter default privileges in schema {search} grant select on tables to {reader}; "
        "grant execute on function {search}._record_query(text, text) to {reader}; "
        "grant usage on schema {raw}, {embedding}, {search}, {ops} to {writer}; "
        "grant all on all tables in schema {raw}, {embedding}, {search}, {ops} to {writer}",
        reader=sql.Identifier(READER),
        writer=sql.Identifier(WRITER),
    )
