"""What commands share: options, consoles, the project, and how they end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from rich.console import Console

from vector_assets.errors import UserError

if TYPE_CHECKING:
    from vector_assets.search.ask import Method

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", help="Folder of the project; the bundled one when left out.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
CollectionArgument = Annotated[str, typer.Argument(help="Name of a collection.", show_default=False)]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        help="Only rows for which this holds: 'topic = cs', 'price < 10 and not topic in (a, b)'; repeat it for more.",
        metavar="FILTER",
        show_default=False,
    ),
]
PrecisionOption = Annotated[
    str | None,
    typer.Option(
        help="Leave out hits below the score from which this share of answers is right: 0.9, declared, or none. "
        "A context asks for the declared one where nothing is said.",
        metavar="SHARE",
        show_default=False,
    ),
]


def fail(message: str, code: int) -> NoReturn:
    """End with one line on standard error."""
    err.print(f"error: {' '.join(message.split())}", style="red", soft_wrap=True, markup=False)
    sys.exit(code)


def name_project(project: Path | None) -> None:
    """Make ``--project`` the project of everything that this process does."""
    if project is not None:
        os.environ["VECTOR_ASSETS_PROJECT"] = str(project.expanduser().absolute())


def open_client(project: Path | None, settings: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - vector_assets.api is imported late: it takes a second
    """Open the project; ``settings`` are those of the sessions that search."""
    name_project(project)
    from vector_assets.api import connect

    return connect(project, settings=settings)


def checked_method(method: str) -> Method:
    """Return ``--method``, or raise UserError with those that there are."""
    from vector_assets.search.ask import METHODS

    if method not in METHODS:
        raise UserError(f"--method {method}: expected {' or '.join(METHODS)}")
    return method


def checked_precision(precision: str | None) -> float | Literal["declared", "none"] | None:
    """Return ``--precision`` as a share, or raise UserError; a number of percent is a slip, not a wish."""
    if precision is None:
        return None
    if precision in ("declared", "none"):
        return "declared" if precision == "declared" else "none"
    try:
        share = float(precision)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise UserError(f"--precision {precision}: expected a share between 0 and 1, such as 0.9, declared or none")
    return share


def print_json(value: object) -> None:
    """Print one JSON object, for programs."""
    print(json.dumps(value, ensure_ascii=False, default=str), flush=True)  # `up` goes on after it


def exit_with(launched: Any) -> None:  # noqa: ANN401 - assets.launch.Launched, imported late
    """End as a run ended; return when it did what was asked."""
    if launched.failed_checks:
        fail(f"run {launched.run_id}: {launched.failed_checks[0]}; what was live stays live", 1)
    if not launched.success:
        fail(
            launched.error or f"run {launched.run_id} failed; see it in the Dagster UI", 2 if launched.user_fault else 1
        )
