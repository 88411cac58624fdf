"""Commands that declare: make a project, write a declaration, check it, say what a run would cost."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    ProjectOption,
    err,
    name_project,
    open_client,
    out,
    print_json,
)

if TYPE_CHECKING:
    from vector_assets.stores.planning import Plan


def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the new project.", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Make a project: pyproject.toml, a package with Dagster's definitions, an empty defs folder."""
    from vector_assets.spec.scaffold import init_project

    project = init_project(folder)
    if as_json:
        print_json({"project": project.root})
        return
    out.print(f"made {project.root}")
    out.print(f"next: vector-assets new NAME --from FILE --project {folder}")


def new(
    name: Annotated[str, typer.Argument(help="Name of the new collection.", show_default=False)],
    source: Annotated[
        str,
        typer.Option(
            "--from", help="A file, a glob, table:schema.name in the database, or env:URL_VARIABLE#table of another."
        ),
    ],
    project: ProjectOption = None,
    id_column: Annotated[str | None, typer.Option("--id", help="The column that names a row.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the declaration of a collection from what a file or table holds."""
    from vector_assets.spec.project import find_project
    from vector_assets.stores.declaring import write_declaration

    name_project(project)
    path = write_declaration(find_project(project), name, source, id_column=id_column)
    if as_json:
        print_json({"collection": name, "declaration": path})
        return
    out.print(f"wrote {path}")
    out.print(f"look at it, then: vector-assets materialize {name}" + (f" --project {project}" if project else ""))


def check(project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Check every declaration: keys, types, references; all problems, not only the first."""
    from vector_assets.spec.load import find_problems, read_declaration
    from vector_assets.spec.project import find_project

    found = find_project(project)
    problems = [
        str(problem) for file in found.declarations() for problem in find_problems(read_declaration(file), str(file))
    ]
    names = [] if problems else [collection.name for collection in found.collections()]
    if as_json:
        print_json({"collections": names, "problems": problems})
    else:
        for problem in problems:
            err.print(f"error: {problem}", style="red", soft_wrap=True, markup=False)
        if not problems and not names:
            out.print("no collection is declared yet; write one with vector-assets new NAME --from FILE")
        elif not problems:
            are = "collection is" if len(names) == 1 else "collections are"
            out.print(f"{len(names)} {are} well declared: {', '.join(names)}")
    if problems:
        raise typer.Exit(2)


def plan(
    collection: CollectionArgument,
    project: ProjectOption = None,
    as_json: JsonOption = False,
    as_sql: Annotated[
        bool, typer.Option("--sql", help="Print only the SQL that the next run executes on your table.")
    ] = False,
) -> None:
    """Say what the next run would encode, how long that takes here, the space it needs, and how changes are known."""
    client = open_client(project).collection(collection)
    if as_sql:
        changes = client.planned_changes()
        sys.stdout.write(f"-- {changes.said}.\n")
        if changes.sql:
            sys.stdout.write("-- The next run executes this, and notes that it did; do not execute it yourself.\n")
        for statement in changes.sql:
            sys.stdout.write(f"{statement};\n")
        return
    found = client.plan()
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    _print_work(collection, found)
    if found.index:
        out.print(f"index: {found.index}", soft_wrap=True, markup=False)
    if found.trains:
        out.print(f"trains first: {', '.join(found.trains)} (until validation stops improving; not in the seconds)")
    out.print(f"changes: {found.changes.said}", soft_wrap=True, markup=False)
    if found.changes.sql:
        out.print(f"their SQL: vector-assets plan {collection} --sql" + (f" --project {project}" if project else ""))


def _print_work(collection: str, found: Plan) -> None:
    """Print what would be encoded and counted, how long it takes, and what it weighs."""
    out.print(f"{collection}: {found.encode:,} of {found.rows:,} rows to encode, {found.chunks:,} vectors")
    if found.truncated:
        out.print(f"about {found.truncated:,} of them of texts longer than the encoder reads: chunk: cuts them first")
    if found.seconds is None or found.rows_per_second is None:
        out.print("how long that takes is not known yet: messages are not looked at before they are taken")
    elif found.encode or found.words:
        speed = f"{found.rows_per_second:,.0f} rows/s" + (
            f", {found.start_seconds:,.0f} s of it until the encoder is ready" if found.start_seconds >= 1 else ""
        )
        out.print(f"about {found.seconds:,.0f} s at {speed}; measured on a sample")
        if found.load > 1:
            out.print(
                f"other work wants {found.load:.1f} times the cores there are: it may take half of that, or twice"
            )
        table, index = found.table_bytes / 2**20, found.index_bytes / 2**20
        out.print(f"about {table:,.1f} MiB of table and {index:,.1f} MiB of indexes")
    if found.words:
        size = f", about {found.words_bytes / 2**20:,.1f} MiB" if found.words_bytes else ""
        out.print(f"words of {found.words:,} rows to count for BM25{size}; their time is in the seconds")
