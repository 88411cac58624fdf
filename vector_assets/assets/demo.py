"""The demo: the bundled collection, built by a recorded run, then shown."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from vector_assets.assets.launch import Launched
from vector_assets.collection_client import CollectionClient
from vector_assets.metrics import shown_metric
from vector_assets.show.hits import show_hits
from vector_assets.show.runs import launched_json, show_launched, shown_progress

QUESTIONS = (
    "compute the shortest path between two nodes of a graph",
    "split data into training and test subsets",
    "parse a date from a string",
)


def run_demo(client: CollectionClient, out: Console, err: Console, *, report: Path | None) -> Launched:
    """Materialize the collection, print what was built and what it finds, and write the numbers to ``report``."""
    started = time.perf_counter()
    out.print("[bold]python_functions[/bold]: functions and classes of installed packages, found by what they do\n")
    with shown_progress(err, quiet=False) as listener:
        launched = client.materialize(listener=listener)
    show_launched(out, launched)
    if not launched.success:
        return launched
    values = {outcome.stage: outcome.metadata for outcome in launched.stages}
    comparison = _show_training(client, out)
    status = client.status()
    out.print(
        f"\n[bold]index[/bold]  recall@10 {status.recall:.4f}, worst query {status.worst_recall:.2f}, "
        "against an exact scan; "
        f"{values['candidate']['index_bytes'] / 2**20:.1f} MiB"
    )
    out.print(f"[bold]gate[/bold]   {status.decision}: {status.reason}", soft_wrap=True)
    arms = _show_arms(client, out)
    searches = _show_searches(client, out)
    seconds = time.perf_counter() - started
    out.print(
        f"\n[bold]{seconds:.0f} s[/bold] in all. Look at it: [bold]make up[/bold] (Dagster and MLflow "
        "in the browser), or"
    )
    out.print('  .venv/bin/vector-assets search python_functions "your question"')
    if report:
        numbers = {
            **launched_json(launched), "seconds": round(seconds, 1), "rows": status.rows, "embedded": status.embedded,
            "recall": status.recall, "worst_recall": status.worst_recall, "comparison": comparison,
            "arms": arms, "searches": searches,
            "trained_now": values["encoder"]["trained_now"],
        }  # fmt: skip
        report.write_text(json.dumps(numbers, indent=1, default=str) + "\n", encoding="utf-8")
    return launched


def _show_training(client: CollectionClient, out: Console) -> Mapping[str, Any] | None:
    found = client.training_result("code")
    if found is None:
        return None
    c = found["comparison"]
    out.print(
        f"\n[bold]encoder[/bold]  {c['metric']} on distributions it never saw, {c['queries']} queries: "
        f"base {c['old']:.3f}, tuned [bold]{c['new']:.3f}[/bold], "
        f"difference {c['difference']:+.3f} [{c['low']:+.3f}, {c['high']:+.3f}] (95 %, p {c['p']:.4f})"
    )
    return dict(c)


def _show_arms(client: CollectionClient, out: Console) -> dict[str, Mapping[str, float]]:
    """Print vectors, words and both together on the held-out questions of the gate, as last measured."""
    found = {
        "vector" if arm["arm"] in ("live", "candidate") else str(arm["arm"]): cast(Mapping[str, float], arm["scores"])
        for arm in client.arms()  # live before a candidate, which is what is live now
    }
    out.print("\n[bold]search[/bold] by vectors, by words (BM25), by both (hybrid), on the same questions:")
    for name, scores in found.items():
        shown = ", ".join(f"{shown_metric(metric)} {score:.3f}" for metric, score in scores.items())
        out.print(f"         {name:7} {shown}")
    return found


def _show_searches(client: CollectionClient, out: Console) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for question in QUESTIONS:
        hits = client.search(question, k=3)
        out.print(f"\n[bold]?[/bold] {question}")
        show_hits(out, hits, limit=3)
        found.append({"question": question, "hits": [hit.id for hit in hits.hits]})
    return found
