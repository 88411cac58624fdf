"""What the reader role still lacks: what an administrator has to run, and which collections were made before it."""

from __future__ import annotations

from psycopg import sql

from vector_assets.stores.connections import Connection
from vector_assets.stores.database import READER, WRITER, Names
from vector_assets.stores.preparing import may_become_reader, role_grants


def left_for_an_administrator(connection: Connection, names: Names, *, become: bool) -> tuple[str, ...]:
    """Return the statements that this user may not run itself: what it may do was done when it connected.

    ``become`` says that it has to take the role on, for want of a login of the reader's own. The writer's role only
    matters to other users than this one, so it is asked for beside the reader's but not by itself.
    """
    rows = connection.execute("select rolname from pg_roles where rolname = any(%s)", ([READER, WRITER],)).fetchall()
    made = {str(row[0]) for row in rows}
    statements: list[sql.Composable] = []
    if READER not in made:
        statements += [
            sql.SQL("create role {} login").format(sql.Identifier(role))
            for role in (READER, WRITER)
            if role not in made
        ]
    elif not _may_enter(connection, names):
        statements.append(role_grants(names, READER))
    if become and not may_become_reader(connection):
        user = sql.Identifier(connection.info.user)
        statements.append(sql.SQL("grant {} to {}").format(sql.Identifier(READER), user))
    return tuple(statement.as_string(connection) for statement in statements)


def made_before_the_reader(connection: Connection, names: Names) -> tuple[str, ...]:
    """Return the live collections whose functions the reader may not execute."""
    rows = connection.execute(
        names.compose(
            "select l.collection from {search}.live l join pg_proc p on p.proname = l.collection "
            "join pg_namespace n on n.oid = p.pronamespace join pg_roles r on r.rolname = %s "
            "where n.nspname = %s and not has_function_privilege(r.oid, p.oid, 'execute') order by 1"
        ),
        (READER, names.prefix + "search"),
    ).fetchall()
    return tuple(str(row[0]) for row in rows)


def _may_enter(connection: Connection, names: Names) -> bool:
    row = connection.execute(
        "select has_schema_privilege(%s, %s, 'usage')", (READER, names.prefix + "search")
    ).fetchone()
    return bool(row and row[0])
