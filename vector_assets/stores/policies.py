"""Row-level security of a table in place: who may not see a row finds, counts and reads nothing that was made of it.

The tables of a generation get a policy of their own: a line is visible where its row is visible in the source, to the
same role, by the source's own policies. View and functions then run as their caller. Nothing of a row is copied.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from vector_assets.errors import SourceError
from vector_assets.stores.connections import Connection
from vector_assets.stores.database import READER, Names
from vector_assets.stores.relation import Relation

_POLICY = sql.Identifier("vector_assets_as_source")


def is_secured(connection: Connection, table: sql.Identifier, shown: str) -> bool:
    """Tell whether a table has row-level security. Raises SourceError where its policies hide rows from this role.

    A writer that is not shown every row would take the hidden ones for deleted.
    """
    row = connection.execute(
        "select c.relrowsecurity, row_security_active(c.oid), current_user from pg_class c where c.oid = %s::regclass",
        (table.as_string(connection),),
    ).fetchone()
    assert row is not None
    secured, active, role = row
    if active:
        raise SourceError(
            f"{shown} has policies that apply to {role}, who writes the vectors: rows they hide would count as gone; "
            f"alter role {role} bypassrls, or write as the table's owner"
        )
    return bool(secured)


def follow_source(connection: Connection, relation: Relation, tables: tuple[sql.Identifier, ...], names: Names) -> None:
    """Show a role the lines of a generation's tables whose rows the source shows it; in the caller's transaction."""
    for table in tables:
        connection.execute(sql.SQL("alter table {} enable row level security").format(table))
        connection.execute(sql.SQL("drop policy if exists {} on {}").format(_POLICY, table))
        connection.execute(
            sql.SQL("create policy {} on {} for select using (exists (select from {} r where {}))").format(
                _POLICY, table, relation.table, _same(relation, table)
            )
        )
    grants = sql.SQL("grant usage on schema {schema} to {reader}; grant select on {tables} to {reader}").format(
        schema=names.schema("embedding"),
        tables=sql.SQL(", ").join(tables),
        reader=sql.Identifier(READER),
    )
    try:
        with connection.transaction():
            connection.execute(grants)
    except (psycopg.errors.UndefinedObject, psycopg.errors.InsufficientPrivilege):
        return  # doctor says what an administrator has to grant


def _same(relation: Relation, table: sql.Identifier) -> sql.Composed:
    """The row of a line, in a policy: its columns are named by the table, which has no alias there."""
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}.{}").format(sql.Identifier("r", column.name), table, sql.Identifier(stored))
        for column, stored in zip(relation.key, relation.key_names, strict=True)
    )
