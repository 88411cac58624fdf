"""Our database made ready: the server checked, schemas, migrations, roles and their grants."""

from __future__ import annotations

import re
from typing import LiteralString

import psycopg
from psycopg import sql

from vector_assets.errors import DatabaseError
from vector_assets.runtime.home import bundled
from vector_assets.stores.connections import Connection, open_connection
from vector_assets.stores.database import READER, SCHEMAS, WRITER, Database, Names
from vector_assets.stores.urls import DatabaseUrl


def prepare(url: DatabaseUrl, prefix: str = "") -> Database:
    """Check the server, create what is missing, migrate, and return the database.

    Raises DatabaseError when Postgres is older than 15, its database is not in UTF8, pgvector is missing or older than
    0.8, a schema of our name was made by somebody else, or the role may not make or use ours.
    """
    names = Names(prefix)
    if prefix and not re.fullmatch(r"[a-z][a-z0-9_]{0,19}", prefix):
        raise DatabaseError(
            f"VECTOR_ASSETS_SCHEMA_PREFIX is {prefix!r}; expected small letters, digits and _, 20 at most"
        )
    with open_connection(url) as connection:
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
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise DatabaseError(
            f"{url.shown} is a database in {encoding}; expected UTF8: "
            "create database … encoding 'UTF8' template template0, and name that one"
        )


def _ensure_extension(connection: Connection, url: DatabaseUrl) -> None:
    row = connection.execute(
        "select (select extversion from pg_extension where extname = 'vector'), "
        "(select default_version from pg_available_extensions where name = 'vector')"
    ).fetchone()
    made, installed = (str(part) if part else None for part in row or (None, None))
    if made is None and installed is None:
        raise DatabaseError(f"Postgres at {url.shown} has no pgvector; install the extension vector 0.8 or newer there")
    if _is_old(made or installed):
        install = "install that on the server" if _is_old(installed) else ""
        update = "alter extension vector update, in this database and as an administrator" if made else ""
        raise DatabaseError(
            f"pgvector at {url.shown} is {made or installed}; expected 0.8 or newer: "
            f"{', then '.join(step for step in (install, update) if step)}"
        )
    try:
        connection.execute("create extension if not exists vector")
    except psycopg.errors.InsufficientPrivilege:
        raise DatabaseError(
            f"pgvector is not created in {url.shown} and {connection.info.user} may not; "
            "in that database, as an administrator: create extension vector"
        ) from None


def _is_old(version: str | None) -> bool:
    return version is None or tuple(int(part) for part in version.split(".")[:2]) < (0, 8)


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
    """Make our roles, their grants and our way into the reader, as far as we may; doctor names the rest."""
    for role in (READER, WRITER):
        if not connection.execute("select 1 from pg_roles where rolname = %s", (role,)).fetchone():
            _attempt(connection, sql.SQL("create role {} login").format(sql.Identifier(role)))
    for role in (READER, WRITER):
        _attempt(connection, role_grants(names, role))
    if not may_become_reader(connection):
        _attempt(connection, sql.SQL("grant {} to current_user").format(sql.Identifier(READER)))


def _attempt(connection: Connection, statement: sql.Composed) -> None:
    """Execute what an administrator may have to do instead, or another of our processes does just now."""
    try:
        with connection.transaction():
            connection.execute(statement)
    except (
        psycopg.errors.InsufficientPrivilege,
        psycopg.errors.UndefinedObject,
        psycopg.errors.DuplicateObject,
        psycopg.errors.UniqueViolation,
    ):
        return


def may_become_reader(connection: Connection) -> bool:
    """Tell whether this user may ``set role`` to the reader: since 16, who made a role administers it, no more."""
    right = "SET" if connection.info.server_version >= 160000 else "MEMBER"
    row = connection.execute(
        "select exists (select from pg_roles where rolname = %s and pg_has_role(oid, %s))", (READER, right)
    ).fetchone()
    return bool(row and row[0])


def role_grants(names: Names, role: str) -> sql.Composed:
    """Return the grants that one of our roles needs: the reader sees the search schema only."""
    text: LiteralString = (
        "grant usage on schema {search} to {role}; grant select on all tables in schema {search} to {role}; "
        "alter default privileges in schema {search} grant select on tables to {role}; "
        "grant execute on function {search}._record_query(text, text) to {role}"
        if role == READER
        else "grant usage on schema {raw}, {embedding}, {search}, {ops} to {role}; "
        "grant all on all tables in schema {raw}, {embedding}, {search}, {ops} to {role}"
    )
    return names.compose(text, role=sql.Identifier(role))
