"""The command line: parses, calls the library, prints. Exit code 0 only when it did what was asked."""

from __future__ import annotations

import sys
import warnings

import typer

from vector_assets.commands import asking, declaring, evaluating, export, failures, running, serving
from vector_assets.commands.common import fail
from vector_assets.errors import VectorAssetsError

app = typer.Typer(
    name="vector-assets",
    help="Tables in, encoders trained, vectors kept true to rows, searched and measured. On Postgres, by Dagster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

# In the order of the help: as people meet them.
for _command in (
    declaring.init,
    declaring.new,
    declaring.check,
    declaring.plan,
    running.materialize,
    asking.status,
    asking.search,
    evaluating.evaluate,
    running.promote,
    running.rollback,
    failures.failures,
    export.export,
    serving.up,
    serving.demo,
    serving.doctor,
):
    app.command()(_command)


def main() -> None:
    """Run the command line; every error of ours is one line."""
    warnings.filterwarnings("ignore")
    try:
        # A command that ends by typer.Exit makes this return its code instead of raising.
        sys.exit(app(standalone_mode=False))
    except VectorAssetsError as error:
        fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            fail(error.format_message(), 2)
        raise


if __name__ == "__main__":
    main()
