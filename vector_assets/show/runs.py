"""How a run looks while it goes on and when it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from vector_assets.assets.launch import Launched
    from vector_assets.assets.progress import Listener

_COUNTS = (
    "encoded",
    "reused",
    "chunks_encoded",
    "chunks_reused",
    "unchanged",
    "removed",
    "empty",
    "failed",
    "inserted",
    "updated",
    "deleted",
    "unreadable",
    "points",
)


@contextmanager
def shown_progress(console: Console, *, quiet: bool) -> Iterator[Listener]:
    """Show one bar per stage while a run goes on; nothing when quiet."""
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console, disable=quiet, transient=True) as progress:
        tasks: dict[str, Any] = {}
        said: set[str] = set()

        def listener(stage: str, done: int, total: int, note: str) -> None:
            if not console.is_terminal:
                # No bars in a log: a line when a stage begins.
                if not quiet and stage not in said:
                    said.add(stage)
                    console.print(f"{stage} …")
                return
            for other, task in tasks.items():
                if other != stage:
                    progress.stop_task(task)
                    progress.update(task, visible=False)
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=None, note="")
            progress.update(tasks[stage], completed=done, total=total or None, note=note)

        yield listener


def launched_json(launched: Launched) -> dict[str, object]:
    """Return ``{"run_id", "generation", "decision", "stages": {stage: counts, seconds and "warning"?}}``.

    Of a stage with several spaces the warnings of all stand together.
    """
    stages: dict[str, dict[str, object]] = {}
    found: dict[str, object] = {"generation": None, "decision": None}
    for outcome in launched.stages:
        values = outcome.metadata
        counts = {name: values[name] for name in _COUNTS if name in values}
        rows = {"rows": values["dagster/row_count"]} if "dagster/row_count" in values else {}
        said = [each for each in (stages.get(outcome.stage, {}).get("warning"), values.get("warning")) if each]
        warned = {"warning": "\n".join(map(str, said))} if said else {}
        stages[outcome.stage] = {**rows, **counts, "seconds": round(outcome.seconds, 3), **warned}
        if outcome.stage == "candidate":
            found = {"generation": values.get("generation"), "decision": values.get("decision")}
    return {"run_id": launched.run_id, "success": launched.success, **found, "stages": stages}


def show_launched(console: Console, launched: Launched) -> None:
    """Print a line per stage."""
    table = Table(box=None, pad_edge=False)
    for name, side in (
        ("stage", "left"),
        ("seconds", "right"),
        ("rows", "right"),
        ("rows/s", "right"),
        ("what happened", "left"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for outcome in launched.stages:
        values = outcome.metadata
        rows = values.get("dagster/row_count", values.get("vectors", values.get("points")))
        speed = values.get("rows_per_second")
        table.add_row(
            outcome.stage,
            f"{outcome.seconds:.1f}",
            f"{rows:,}" if isinstance(rows, int) else "",
            f"{speed:,.0f}" if isinstance(speed, float) else "",
            _happened(outcome.stage, values),
        )
    console.print(table)
    if launched.success:
        console.print(f"run {launched.run_id}")


def _happened(stage: str, values: Mapping[str, Any]) -> str:
    return _SAID.get(stage, _drawn)(values)


def _read(values: Mapping[str, Any]) -> str:
    if not values.get("read", True):
        return "the source looks as it did; not read again"
    if values.get("in_place"):
        capture = values.get("capture")
        return f"used in place; changes are {'noted by triggers' if capture == 'trigger' else f'not: {capture}'}"
    return ", ".join(
        f"{values[name]:,} {name}" for name in ("inserted", "updated", "deleted", "unreadable") if name in values
    )


def _trained(values: Mapping[str, Any]) -> str:
    from vector_assets.metrics import shown_metric  # numpy is not needed to say anything else

    if values.get("trained_now"):
        metric = next((name.removeprefix("base_test_") for name in values if name.startswith("base_test_")), "")
        old, new = values.get(f"base_test_{metric}", 0.0), values.get(f"test_{metric}", 0.0)
        said = f"trained; {shown_metric(metric)} {old:.3f} -> {new:.3f}"
    else:
        said = f"checkpoint {str(values.get('checkpoint'))[:12]} is known; nothing trained"
    return _warned(said, values)


def _warned(said: str, values: Mapping[str, Any]) -> str:
    return "; ".join(filter(None, [said, str(values.get("warning") or "")]))


def _embedded(values: Mapping[str, Any]) -> str:
    counted = ("encoded", "reused", "unchanged", "removed", "empty", "failed")
    return ", ".join(f"{values[name]:,} {name}" for name in counted if values.get(name)) or "nothing to do"


def _measured(values: Mapping[str, Any]) -> str:
    done = "measured" if values.get("measured_now") else "known; nothing trained"
    return _warned(f"{values.get('points')} points, {done}", values)


def _exported(values: Mapping[str, Any]) -> str:
    return f"{values.get('files')} files at {values.get('url')}{'' if values.get('written') else ', as before'}"


def _drawn(values: Mapping[str, Any]) -> str:
    return f"picture of generation {values.get('generation')}"


_SAID: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "raw": _read,
    "training_set": lambda values: "drawn" if values.get("drawn") else "kept",
    "encoder": _trained,
    "learning_curve": _measured,
    "embeddings": _embedded,
    "candidate": lambda values: f"{values.get('decision')}: {values.get('reason')}",
    "index": lambda values: f"generation {values.get('generation')} is live ({values.get('action')})",
    "export": _exported,
    "chunkings": lambda values: str(values.get("said")),
    "scores": lambda values: f"{values.get('evaluated')} evaluated now; {values.get('main_scores')}",
}
