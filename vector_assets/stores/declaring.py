"""Write a first declaration: from a file, or from the catalogue's word on a table."""

from __future__ import annotations

import re
from pathlib import Path

from vector_assets.errors import SourceError, SpecError
from vector_assets.source.infer import declaration_of_rows, new_declaration
from vector_assets.source.sql_connection import sample_table
from vector_assets.spec.declare import render_declaration
from vector_assets.spec.field import FieldType
from vector_assets.spec.project import BUNDLED, Project
from vector_assets.stores.workspace import open_workspace

TABLE = "table:"
CONNECTION = re.compile(r"(sqlite|duckdb|postgres|mysql|mariadb|mssql|oracle|snowflake|bigquery|redshift)[+\w]*://")
VARIABLE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)#(.+)")
_NUMBERS = ("smallint", "integer", "bigint", "real", "double precision", "numeric")


def write_declaration(project: Project, name: str, source: str, *, id_column: str | None) -> Path:
    """Write ``defs/<name>/defs.yaml`` and return its path. An existing file is never overwritten."""
    if project.root == BUNDLED:
        raise SpecError(
            "the bundled project is not yours to change; make one with vector-assets init DIR, then --project DIR"
        )
    path = project.new_file(name)
    if path.exists():
        raise SpecError(f"{path} exists; choose another name or edit it")
    if CONNECTION.match(source):
        raise SpecError(
            f"--from {source.split(':')[0]}:…: an address with a password is not written down; put it into a variable "
            "and name that and the table, such as --from env:WAREHOUSE_URL#sales.orders"
        )
    if source.startswith("env:"):
        text = _of_variable(name, source, id_column)
    elif source.startswith(TABLE):
        if id_column:
            raise SpecError(f"--id {id_column}: rows of a table in place are named by its primary key; leave --id out")
        text = _of_table(name, source.removeprefix(TABLE))
    else:
        text = new_declaration(name, source, folder=path.parent, root=project.root, id_column=id_column)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _of_variable(name: str, source: str, id_column: str | None) -> str:
    """Return the declaration of a table of the database whose URL a variable holds."""
    found = VARIABLE.fullmatch(source)
    if not found:
        raise SpecError(f"--from {source}: expected env:VARIABLE#table, such as env:WAREHOUSE_URL#sales.orders")
    reference = f"{{{{ env.{found[1]} }}}}"
    sample = sample_table(reference, found[2], name)
    declared = {"kind": "sql", "url": reference, "table": found[2]}
    return declaration_of_rows(name, declared, sample.columns, sample.rows, where=found[2], id_column=id_column)


def _of_table(name: str, table: str) -> str:
    """Return the declaration of a table used in place."""
    schema, _, plain = table.rpartition(".")
    schema = schema or "public"
    with open_workspace().database.connect() as connection:
        rows = connection.execute(
            "select a.attname, format_type(a.atttypid, null), coalesce(i.indisprimary, false), "
            "coalesce((select s.n_distinct between 0 and 50 from pg_stats s "
            "where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname), false) "
            "from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace "
            "left join pg_index i on i.indrelid = c.oid and i.indisprimary and a.attnum = any(i.indkey) "
            "where n.nspname = %s and c.relname = %s and a.attnum > 0 and not a.attisdropped order by a.attnum",
            (schema, plain),
        ).fetchall()
    if not rows:
        raise SourceError(f"table {schema}.{plain} does not exist; expected {TABLE}schema.name of the database")
    if not any(bool(primary) for _, _, primary, _ in rows):
        raise SourceError(f"table {schema}.{plain} has no primary key; add one, so that rows have names")
    kinds = {str(column): _kind(str(kind), bool(few)) for column, kind, primary, few in rows if not primary}
    types = {str(column): str(kind) for column, kind, *_ in rows}
    return render_declaration(
        name,
        {"kind": "postgres", "table": table},
        [(column, kind) for column, kind in kinds.items() if kind],
        left_out={column: _why(types[column]) for column, kind in kinds.items() if not kind},
    )


def _why(kind: str) -> str:
    if kind == "bytea":
        return "holds bytes; of images declare it as image, with a space {kind: image, encoder: ./folder}"
    return "its type is none of text, number, datetime"


def _kind(kind: str, few: bool) -> FieldType | None:
    if kind in ("text", "character varying", "character"):
        return "category" if few else "text"
    if kind in _NUMBERS:
        return "number"
    if kind.startswith(("timestamp", "date")):
        return "datetime"
    return "category" if kind == "boolean" else None
