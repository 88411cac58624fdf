"""What commands share: options, the client, where they print."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

if TYPE_CHECKING:
    from vector_assets.api import CollectionClient

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", help="Folder of the project; the bundled one when left out.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
CollectionArgument = Annotated[str, typer.Argument(help="Name of a collection.", show_default=False)]


def out() -> Console:
    """Return the console of standard output as it is now."""
    return Console(highlight=False)


def open_collection(project: Path | None, name: str) -> CollectionClient:
    """Return one collection of a project. vector_assets.api is imported late: it takes a second."""
    if project is not None:
        os.environ["VECTOR_ASSETS_PROJECT"] = str(project.expanduser().absolute())
    from vector_assets.api import connect

    return connect(project).collection(name)


def print_json(value: object) -> None:
    """Print one JSON object."""
    print(json.dumps(value, ensure_ascii=False, default=str))  # noqa: T201 - this is the command line
