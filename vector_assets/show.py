"""How results look in a terminal, and their JSON shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from vector_assets.assets.launch import Launched
    from vector_assets.assets.progress import Listener
    from vector_assets.index.comparing import Arm
    from vector_assets.search.hits import Hit, Hits
    from vector_assets.stores.status import Status

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


def show_status(console: Console, found: Mapping[str, Status]) -> None:
    """Print a block per collection."""
    for name, status in found.items():
        console.print(Text(name, style="bold"))
        if status.rows is None:
            console.print(f"  no rows yet; run vector-assets materialize {name}")
            continue
        console.print(
            f"  {status.rows:,} rows, {status.embedded:,} embedded, {status.pending:,} pending, "
            f"{status.failed:,} set aside, {status.stale:,} stale"
            + (f"; the oldest waits at most {status.oldest_pending_s:,.0f} s" if status.oldest_pending_s else "")
        )
        if status.generation is None:
            decision = f"{status.decision} ({status.reason})" if status.decision else "none"
            console.print(f"  nothing is live; decision: {decision}", soft_wrap=True, markup=False)
            continue
        recall = (
            f"{status.recall:.4f} (worst query {status.worst_recall:.2f})"
            if status.recall is not None
            else "not measured"
        )
        console.print(f"  generation {status.generation} is live, coverage {status.coverage:.4f}, recall@10 {recall}")
        if status.index and status.index_bytes is not None:
            changed = f", {status.index_changed:.0%} of its rows changed since" if status.index_changed else ""
            console.print(f"  index: {status.index}, {status.index_bytes / 2**20:,.1f} MiB{changed}")
        if status.index_worn:
            console.print(f"  maintenance will build the index anew: {status.index_worn}", soft_wrap=True)
        _show_partial(console, status)
        if status.truncated:
            console.print(f"  {status.truncated:,} vectors are of texts that the encoder cut off")
        console.print(f"  decision: {status.decision} ({status.reason})", soft_wrap=True, markup=False)
        for space, digest in status.checkpoints.items():
            console.print(f"  {space}: checkpoint {digest[:12]}")


def _show_partial(console: Console, status: Status) -> None:
    """Print a line per partial index, and per value for which one would pay."""
    for each in status.partial:
        console.print(
            f"  partial index {each['field']} = {each['value']}: {each['said']}", soft_wrap=True, markup=False
        )
    for one in status.partial_proposed:
        unit = "rows compared" if one.way == "exact" else "entries of the index looked at"
        console.print(
            f"  a partial index would pay: {one.field} = {one.value}, {one.vectors:,} vectors ({one.share:.1%}), "
            f"{one.bytes / 2**20:,.1f} MiB; {one.looked_at:,} {unit} now, {one.looked_at_then:,} then, "
            f"about {one.ms} ms and {one.ms_then} ms; under index: {one.declare}",
            soft_wrap=True,
            markup=False,
        )


def show_arms(console: Console, arms: Sequence[Arm]) -> None:
    """Print a line per metric, a column per arm, and how live differs from each."""
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for arm in arms:
        table.add_column(arm.arm, justify="right")
    for name in arms[0].scores:
        table.add_row(name, *(f"{arm.scores[name]:.4f}" if arm.scores else "-" for arm in arms))
    console.print(table)
    for arm in arms:
        if arm.note:
            console.print(f"{arm.arm} was {arm.note}", soft_wrap=True)
        if arm.against:
            found = arm.against
            console.print(
                f"live against {arm.arm}: {found.metric} {found.difference:+.4f} "
                f"[{found.low:+.4f}, {found.high:+.4f}], p {found.p:.2g}",
                soft_wrap=True,
                markup=False,
            )


def hits_json(hits: Hits) -> dict[str, object]:
    """Return ``{"hits": [{"id", "score", "row", "parts"?, "stale"?, "chunk"?}], "method", "generation", "ms"}``.

    ``reranked_by`` stands beside them where a model read the rows. Where scores are calibrated a hit has its
    ``probability``; where a precision was asked there are ``answered``, ``precision`` and ``threshold`` as well.
    """
    found = []
    for hit in hits.hits:
        one: dict[str, object] = {"id": hit.id, "score": hit.score, "row": dict(hit.row)}
        if hit.parts:
            one["parts"] = dict(hit.parts)
        if hit.stale:
            one["stale"] = True
        if hit.probability is not None:
            one["probability"] = round(hit.probability, 6)
        if hit.chunk:
            one["chunk"] = {
                name: value for name, value in asdict(hit.chunk).items() if value or name not in ("stale", "headings")
            }
        found.append(one)
    beside = {"reranked_by": hits.reranked_by} if hits.reranked_by else {}
    told: dict[str, object] = {"hits": found, "method": hits.method, "generation": hits.generation}
    if hits.floor:
        told |= {"answered": bool(found), "precision": hits.floor.precision, "threshold": hits.floor.score}
    return {**told, "ms": round(hits.ms, 2), **beside}


def show_hits(console: Console, hits: Hits, *, limit: int | None = None) -> None:
    """Print hits, best first: score, id, and the beginning of the row's texts."""
    for hit in hits.hits[:limit]:
        console.print(
            Text.assemble(
                (f"{hit.score:.3f}  ", "cyan"),
                (hit.id, "bold"),
                _likely(hit),
                ("  (stale)", "red") if hit.stale else "",
            )
        )
        shown = _summary(hit)
        if shown:
            console.print(Text("       " + shown), overflow="ellipsis", no_wrap=True)
        if hit.chunk:
            cut = " ".join(hit.chunk.text.split())[:300]
            console.print(
                Text(f"       … {cut} …", style="dim"), Text("(stale)" if hit.chunk.stale else "", style="red")
            )
    if not hits.hits:
        console.print(hits.floor.why if hits.floor else "no hits", soft_wrap=True, markup=False)
    if limit is None:
        console.print(f"generation {hits.generation}, {hits.method}, {hits.ms:.0f} ms", style="dim")


def _likely(hit: Hit) -> str:
    return "" if hit.probability is None else f"  {100 * hit.probability:.0f} % likely"


def _summary(hit: Hit) -> str:
    names = ("summary", "title", "name", *hit.row)
    texts = [hit.row[name] for name in names if isinstance(hit.row.get(name), str) and hit.row[name] != hit.id]
    return " ".join(str(texts[0]).split())[:160] if texts else ""
