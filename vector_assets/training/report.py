"""What a run looked like: the curves as a picture, the numbers as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from vector_assets.records import Comparison
from vector_assets.training.loop import History


def write_report(
    folder: Path, history: History, comparison: Comparison, counts: Mapping[str, int]
) -> tuple[Path, Path]:
    """Write curves.png and report.json and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "best_step": history.best_step,
        "seconds": history.seconds,
        "test": asdict(comparison),
        "evaluations": [asdict(found) for found in history.evaluations],
        "steps": [asdict(step) for step in history.steps],
        "pairs": dict(counts),
    }
    path = folder / "report.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return draw_curves(history, folder / "curves.png"), path


def draw_curves(history: History, path: Path) -> Path:
    """Draw loss per step, and validation MRR with the base as a line and the best point marked."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    left.plot([step.step for step in history.steps], [step.loss for step in history.steps], lw=1.2, color="tab:blue")
    left.set(title="Training loss", xlabel="step", ylabel="loss")
    base, best = history.at(0), history.at(history.best_step)
    right.axhline(base.mrr, color="tab:gray", ls="--", lw=1, label=f"untrained base {base.mrr:.3f}")
    points = history.evaluations
    right.plot([found.step for found in points], [found.mrr for found in points], marker="o", ms=4, color="tab:green")
    right.plot([best.step], [best.mrr], marker="*", ms=14, ls="", color="tab:red", label=f"kept {best.mrr:.3f}")
    right.set(title="Validation", xlabel="step", ylabel="MRR@10")
    right.legend(loc="lower right", fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    figure.savefig(path)
    return path
