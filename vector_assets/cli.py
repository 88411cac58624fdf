"""The command line: parses, calls the library, prints. Exit code 0 only when it did what was asked."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer
from rich.console import Console

from vector_assets.errors import UserError, VectorAssetsError

app = typer.Typer(
    name="vector-assets",
    help="Tables in, encoders trained, vectors kept true to rows, searched and measured. On Postgres, by Dagster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", help="Folder of the project; the bundled one when left out.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
CollectionArgument = Annotated[str, typer.Argument(help="Name of a collection.", show_default=False)]


def main() -> None:
    """Run the command line; every error of ours is one line."""
    warnings.filterwarnings("ignore")
    try:
        # A command that ends by typer.Exit makes this return its code instead of raising.
        sys.exit(app(standalone_mode=False))
    except VectorAssetsError as error:
        _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        if hasattr(error, "format_message") and hasattr(error, "exit_code"):
            _fail(error.format_message(), 2)
        raise


def _fail(message: str, code: int) -> None:
    err.print(f"error: {' '.join(message.split())}", style="red", soft_wrap=True, markup=False)
    sys.exit(code)


def _client(project: Path | None) -> Any:  # noqa: ANN401 - vector_assets.api is imported late: it takes a second
    if project is not None:
        os.environ["VECTOR_ASSETS_PROJECT"] = str(project.expanduser().absolute())
    from vector_assets.api import connect

    return connect(project)


def _print_json(value: object) -> None:
    print(json.dumps(value, ensure_ascii=False, default=str))


@app.command()
def init(folder: Annotated[Path, typer.Argument(help="Folder of the new project.", show_default=False)]) -> None:
    """Make a project: pyproject.toml, a package with Dagster's definitions, an empty defs folder."""
    from vector_assets.spec.scaffold import init_project

    project = init_project(folder)
    out.print(f"made {project.root}")
    out.print(f"next: vector-assets new NAME --from FILE --project {folder}")


@app.command()
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
) -> None:
    """Write the declaration of a collection from what a file or table holds."""
    from vector_assets.spec.project import find_project
    from vector_assets.stores.declaring import write_declaration

    if project is not None:
        os.environ["VECTOR_ASSETS_PROJECT"] = str(project.expanduser().absolute())
    path = write_declaration(find_project(project), name, source, id_column=id_column)
    out.print(f"wrote {path}")
    out.print(f"look at it, then: vector-assets materialize {name}" + (f" --project {project}" if project else ""))


@app.command()
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
        _print_json({"collections": names, "problems": problems})
    else:
        for problem in problems:
            err.print(f"error: {problem}", style="red", soft_wrap=True, markup=False)
        if not problems:
            out.print(f"{len(names)} collections are well declared: {', '.join(names)}")
    if problems:
        raise typer.Exit(2)


@app.command()
def plan(collection: CollectionArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Say what the next run would encode, how long that takes here, and the space it needs."""
    found = _client(project).collection(collection).plan()
    if as_json:
        _print_json(dataclasses.asdict(found))
        return
    out.print(f"{collection}: {found.encode:,} of {found.rows:,} rows to encode, {found.chunks:,} vectors")
    out.print(f"about {found.seconds:,.0f} s at {found.rows_per_second:,.0f} rows/s, measured on a sample")
    out.print(f"about {found.table_bytes / 2**20:,.1f} MiB of table and {found.index_bytes / 2**20:,.1f} MiB of index")
    if found.trains:
        out.print(f"trains first: {', '.join(found.trains)} (until validation stops improving; not in the seconds)")


@app.command()
def materialize(
    collection: CollectionArgument,
    stage: Annotated[
        list[str] | None, typer.Option("--stage", help="Only these stages; repeat it. training_set draws anew.")
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run the stages of a collection in this process; the run is recorded and opens in the Dagster UI."""
    from vector_assets.assets.keys import STAGES

    unknown = [name for name in stage or [] if name not in STAGES]
    if unknown:
        raise UserError(f"--stage {unknown[0]}: expected one of {', '.join(STAGES)}")
    from vector_assets.show import launched_json, show_launched, shown_progress

    client = _client(project).collection(collection)
    with shown_progress(err, quiet=as_json) as listener:
        launched = client.materialize(
            stages=tuple(stage) if stage else None, refresh="training_set" in (stage or []), listener=listener
        )
    if as_json:
        _print_json(launched_json(launched))
    else:
        show_launched(out, launched)
    _exit_with(launched)


def _exit_with(launched: Any) -> None:  # noqa: ANN401 - assets.launch.Launched, imported late
    if launched.failed_checks:
        _fail(f"run {launched.run_id}: {launched.failed_checks[0]}; what was live stays live", 1)
    if not launched.success:
        _fail(
            launched.error or f"run {launched.run_id} failed; see it in the Dagster UI", 2 if launched.user_fault else 1
        )


@app.command()
def status(
    collection: Annotated[
        str | None, typer.Argument(help="One collection; all when left out.", show_default=False)
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where collections stand: rows, vectors, what is live, recall, decision."""
    from vector_assets.show import show_status

    client = _client(project)
    chosen = [client.collection(collection)] if collection else client.collections()
    found = {each.spec.name: each.status() for each in chosen}
    if as_json:
        _print_json({"collections": {name: dataclasses.asdict(each) for name, each in found.items()}})
    else:
        show_status(out, found)


@app.command()
def search(
    collection: CollectionArgument,
    query: Annotated[str, typer.Argument(help="What to look for.", show_default=False)],
    k: Annotated[int, typer.Option("-k", min=1, max=1000, help="How many hits.")] = 10,
    method: Annotated[str, typer.Option(help="vector uses the index, exact scans all vectors.")] = "vector",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the rows nearest to a question, in the live generation."""
    from vector_assets.show import hits_json, show_hits

    if method not in ("vector", "exact"):
        raise UserError(f"--method {method}: expected vector or exact")
    if not query.strip():
        raise UserError("the question is empty; expected some text")
    hits = _client(project).collection(collection).search(query, k=k, method=cast(Literal["vector", "exact"], method))
    if as_json:
        _print_json(hits_json(hits))
    else:
        show_hits(out, hits)


@app.command()
def evaluate(
    collection: CollectionArgument,
    queries: Annotated[str | None, typer.Option(help="JSONL with _id and text.")] = None,
    qrels: Annotated[str | None, typer.Option(help="TSV with query-id, corpus-id, score.")] = None,
    method: Annotated[str, typer.Option(help="vector uses the index, exact scans all vectors.")] = "vector",
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the live generation on judged queries: the given, the declared, or the held-out ones."""
    if method not in ("vector", "exact"):
        raise UserError(f"--method {method}: expected vector or exact")
    if bool(queries) != bool(qrels):
        raise UserError("--queries and --qrels belong together; give both or neither")
    found = _client(project).collection(collection).evaluate(method=method, queries=queries, qrels=qrels)
    if as_json:
        _print_json({**found.scores, "queries": found.queries, "generation": found.generation})
        return
    for name, value in found.scores.items():
        out.print(f"{name:>10}  {value:.4f}")
    out.print(f"{found.queries} queries, generation {found.generation}, method {found.method}")


@app.command()
def promote(
    collection: CollectionArgument,
    because: Annotated[str, typer.Option("--because", help="Why; it is recorded.")],
    project: ProjectOption = None,
) -> None:
    """Make the newest candidate live on your word. Integrity checks still block."""
    swapped = _client(project).collection(collection).promote(because=because)
    out.print(f"generation {swapped.live.number} of {collection} is live (before: {swapped.before or 'none'})")


@app.command()
def rollback(collection: CollectionArgument, project: ProjectOption = None) -> None:
    """Make the generation that was live before live again; the one taken back is not promoted again by itself."""
    swapped = _client(project).collection(collection).rollback()
    out.print(
        f"generation {swapped.live.number} of {collection} is live again (taken back: {swapped.before or 'none'})"
    )


@app.command()
def up(
    project: ProjectOption = None,
    host: Annotated[str, typer.Option(help="Address to bind; beyond loopback the token stays required.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the Dagster UI.")] = 3000,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow UI.")] = 5000,
) -> None:
    """Serve the Dagster UI with its daemon, and MLflow, until Ctrl-C."""
    from vector_assets.assets.serve import Served, serve

    def ready(served: Served) -> None:
        out.print(f"Dagster  {served.address(served.dagster)}", soft_wrap=True)
        out.print(f"MLflow   {served.address(served.mlflow)}", soft_wrap=True)
        out.print(f"logs in {served.logs}; Ctrl-C ends both", soft_wrap=True)

    serve(project, host=host, port=port, mlflow_port=mlflow_port, on_ready=ready)


@app.command()
def demo(
    report: Annotated[Path | None, typer.Option(help="Write what was measured to this JSON file.")] = None,
) -> None:
    """Build the bundled collection of Python functions and show what it can do."""
    from vector_assets.assets.demo import run_demo

    os.environ.pop("VECTOR_ASSETS_PROJECT", None)
    launched = run_demo(_client(None).collection("python_functions"), out, err, report=report)
    _exit_with(launched)


@app.command()
def doctor(
    stop: Annotated[bool, typer.Option("--stop", help="Stop the embedded Postgres of this home.")] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at machine, database, stores and folders, and say what is wrong and what to do."""
    if project is not None:
        os.environ["VECTOR_ASSETS_PROJECT"] = str(project.expanduser().absolute())
    from vector_assets.runtime.home import home
    from vector_assets.runtime.postgres import stop_postgres
    from vector_assets.stores.doctor import examine

    if stop:
        out.print("the embedded Postgres is stopped" if stop_postgres(home()) else "no embedded Postgres was running")
        return
    findings = examine()
    if as_json:
        _print_json([dataclasses.asdict(finding) for finding in findings])
    else:
        for finding in findings:
            out.print(f"{'ok' if finding.ok else 'NOT OK':>6}  {finding.name}: {finding.said}", markup=False)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


if __name__ == "__main__":
    main()
