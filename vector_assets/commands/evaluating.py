"""``evaluate``: how good the answers are, by each method, of each generation that is kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from vector_assets.commands.common import (
    CollectionArgument,
    JsonOption,
    ProjectOption,
    checked_method,
    open_client,
    out,
    print_json,
)
from vector_assets.errors import UserError

if TYPE_CHECKING:
    from vector_assets.stores.evaluating import Evaluated


def evaluate(
    collection: CollectionArgument,
    queries: Annotated[str | None, typer.Option(help="JSONL with _id and text.")] = None,
    qrels: Annotated[str | None, typer.Option(help="TSV with query-id, corpus-id, score.")] = None,
    synthetic: Annotated[
        bool, typer.Option("--synthetic", help="Ask queries made from words of the rows: a stand-in for judged ones.")
    ] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(help="How to ask, again for each; all asks by all that there are.", show_default="vector"),
    ] = None,
    generation: Annotated[
        list[int] | None,
        typer.Option(help="A generation that is still kept, by an exact scan; again for each.", show_default=False),
    ] = None,
    per_query: Annotated[
        Path | None,
        typer.Option(help="Write a line for each query and method here: .jsonl or .tsv.", metavar="FILE"),
    ] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score methods and generations on judged queries, with intervals; BM25 and the candidate stand beside them."""
    if bool(queries) != bool(qrels):
        raise UserError("--queries and --qrels belong together; give both or neither")
    if synthetic and queries:
        raise UserError("--synthetic makes its own queries; leave out --queries and --qrels")
    if per_query is not None and per_query.suffix not in (".jsonl", ".tsv"):
        raise UserError(f"--per-query {per_query}: expected a name that ends in .jsonl or .tsv")
    named = method or ["vector"]
    chosen = [checked_method(each) for each in named if each != "all"]
    asked = open_client(project).collection(collection)
    if "all" in named:
        chosen = list(dict.fromkeys([*asked.methods, *chosen]))
    found: Evaluated = asked.evaluate(
        methods=chosen, generations=generation or (), queries=queries, qrels=qrels, synthetic=synthetic
    )
    if per_query is not None:
        from vector_assets.index.systems import per_query as lines

        write_lines(lines(found.systems, found.judged), per_query)
    if as_json:
        print_json(evaluated_json(found))
    else:
        show_evaluated(found)


def evaluated_json(found: Evaluated) -> dict[str, Any]:
    """Return the first method's means as they always were, and beside them all that were asked."""
    return {
        **found.scores,
        "queries": found.queries,
        "generation": found.generation,
        "method": found.method,
        "synthetic": found.synthetic,
        "arms": {arm.arm: arm.record() for arm in found.arms},
        "methods": {each.name: {metric: asdict(mean) for metric, mean in each.means.items()} for each in found.systems},
        "comparisons": [each.record() for each in found.tested],
        **({"passages": _passages_json(found)} if found.passages else {}),
        "levels": {space: [asdict(each) for each in levels] for space, levels in found.levels.items()},
    }


def _passages_json(found: Evaluated) -> dict[str, Any]:
    by_method = {
        method: {
            f"passage_recall@{each.k}": each.recall,
            "low": each.low,
            "high": each.high,
            f"row_recall@{each.k}": each.rows,
        }
        for method, each in found.passages.items()
    }
    questions = next(iter(found.passages.values())).questions
    return {"questions": questions, "gone": found.passages_gone, "methods": by_method}


def show_evaluated(found: Evaluated) -> None:
    """Print the arms, then the systems with their intervals, then what differs, where several were asked."""
    from vector_assets.show.status import show_arms

    show_arms(out, found.arms)
    kind = "synthetic queries (made from words of the rows, judged by nobody)" if found.synthetic else "queries"
    out.print(f"{found.queries} {kind}, generation {found.generation}, method {found.method}", soft_wrap=True)
    out.print()
    table = Table(box=None, pad_edge=False)
    table.add_column("mean, 95 %")
    for metric in found.scores:
        table.add_column(metric, justify="right")
    for each in found.systems:
        means = each.means.values()
        table.add_row(each.name, *(f"{one.mean:.4f}\n{one.low:.3f}-{one.high:.3f}" for one in means))
    out.print(table)
    for method, cited in found.passages.items():
        out.print(
            f"{method}: passage_recall@{cited.k} {cited.recall:.4f} [{cited.low:.4f}, {cited.high:.4f}], "
            f"{cited.rows:.4f} have the row, {cited.questions:,} queries with judged passages",
            soft_wrap=True,
            markup=False,
        )
    if found.passages_gone:
        out.print(f"{found.passages_gone} judged passages do not stand in their rows, or not any more")
    for space, levels in found.levels.items():
        for level in levels:
            out.print(
                f"level {level.level} of the labels of {space}: MAP {level.map:.4f}, {level.chance:.4f} by chance, "
                f"{level.labels:,} labels, {level.queries:,} queries",
                soft_wrap=True,
            )
    for one in found.tested:
        compared = one.comparison
        out.print(
            f"{one.new} against {one.old}: {compared.metric} {compared.difference:+.4f} "
            f"[{compared.low:+.4f}, {compared.high:+.4f}], p {one.p_holm:.2g}",
            soft_wrap=True,
            markup=False,
        )
    if len(found.tested) > 1:
        out.print(f"p is corrected for {len(found.tested)} comparisons (Holm); the intervals are of each alone")


def write_lines(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Write JSON lines, or a table whose found rows are a JSON list. Raises UserError where nothing can be written."""
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            if path.suffix == ".jsonl":
                file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
                return
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            for number, line in enumerate(lines):
                if not number:
                    writer.writerow(line)
                writer.writerow(
                    [json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v for v in line.values()]
                )
    except OSError as error:
        raise UserError(f"--per-query {path}: {error.strerror}; expected a file that can be written") from None
