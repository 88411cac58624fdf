"""``vector-assets export C URL``."""

from __future__ import annotations

from typing import Annotated, cast

import typer

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    ProjectOption,
    open_client,
    out,
    print_json,
)
from vector_assets.errors import UserError
from vector_assets.spec.export import ExportFormat


def export(
    collection: CollectionArgument,
    url: Annotated[
        str | None,
        typer.Argument(help="A folder or an fsspec URL; the declared one when left out.", show_default=False),
    ] = None,
    format: Annotated[str | None, typer.Option(help="parquet or npz.", show_default=False)] = None,
    partitions: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Folders by the hash of the row's key.", show_default=False)
    ] = None,
    rows_per_file: Annotated[
        int | None, typer.Option(min=1, help="Vectors in a file, at most.", show_default=False)
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite an export of another collection.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the live vectors as Parquet or npz with their contract; the manifest comes last."""
    if format not in (None, "parquet", "npz"):
        raise UserError(f"--format {format}: expected parquet or npz")
    done = (
        open_client(project)
        .collection(collection)
        .export(
            url,
            format=cast(ExportFormat | None, format),
            partitions=partitions,
            rows_per_file=rows_per_file,
            replace=replace,
        )
    )
    if as_json:
        head = done.manifest["head"]
        print_json(
            {
                "url": done.url, "rows": done.rows, "files": done.files, "bytes": done.bytes, "written": done.written,
                "generation": head["generation"], "digest": done.manifest["digest"], "seconds": round(done.seconds, 3),
            }
        )  # fmt: skip
        return
    said = f"{done.rows:,} vectors in {done.files:,} files, {done.bytes / 2**20:,.1f} MiB, at {done.url}"
    out.print(said if done.written else f"{said}: as before, nothing written", soft_wrap=True, markup=False)
