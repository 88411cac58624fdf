"""Commands around the whole: the UIs, the demo, what is wrong on this machine."""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vector_assets.commands.common import (
    JsonOption,
    ProjectOption,
    err,
    exit_with,
    name_project,
    open_client,
    out,
    print_json,
)


def up(
    project: ProjectOption = None,
    host: Annotated[str, typer.Option(help="Address to bind; beyond loopback the token stays required.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
    as_json: JsonOption = False,
) -> None:
    """Serve the Dagster UI with its daemon, and MLflow, until Ctrl-C."""
    from vector_assets.assets.serve import Served, serve

    def ready(served: Served) -> None:
        if as_json:
            dagster, mlflow = served.address(served.dagster), served.address(served.mlflow)
            print_json({"dagster": dagster, "mlflow": mlflow, "logs": served.logs})
            return
        out.print(f"Dagster  {served.address(served.dagster)}", soft_wrap=True)
        out.print(f"MLflow   {served.address(served.mlflow)}", soft_wrap=True)
        out.print(f"logs in {served.logs}; Ctrl-C ends both", soft_wrap=True)

    serve(project, host=host, port=port, mlflow_port=mlflow_port, on_ready=ready)


def demo(
    report: Annotated[Path | None, typer.Option(help="Write what was measured to this JSON file.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Build the bundled collection of Python functions and show what it can do."""
    from vector_assets.assets.demo import run_demo

    os.environ.pop("VECTOR_ASSETS_PROJECT", None)
    client = open_client(None).collection("python_functions")
    if not as_json:
        exit_with(run_demo(client, out, err, report=report))
        return
    quiet = Console(quiet=True)
    with tempfile.TemporaryDirectory() as folder:
        written = report or Path(folder) / "report.json"
        exit_with(run_demo(client, quiet, quiet, report=written))
        print_json(json.loads(written.read_bytes()))


def doctor(
    stop: Annotated[bool, typer.Option("--stop", help="Stop the embedded Postgres of this home.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at machine, database, stores and folders, and say what is wrong and what to do."""
    name_project(project)
    from vector_assets.runtime.home import home
    from vector_assets.runtime.postgres import stop_postgres
    from vector_assets.stores.doctor import examine

    if stop:
        stopped = stop_postgres(home())
        if as_json:
            print_json({"stopped": stopped})
        else:
            out.print("the embedded Postgres is stopped" if stopped else "no embedded Postgres was running")
        return
    findings = examine()
    if as_json:
        print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            out.print(
                f"{'ok' if finding.ok else 'NOT OK':>6}  {finding.name}: {finding.said}", markup=False, soft_wrap=True
            )
    if not all(finding.ok for finding in findings):
        raise typer.Exit(max(finding.exit_code for finding in findings))
