"""What a run looked like: pictures of curves and confusions, the numbers as JSON, the head beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from vector_assets.records import Comparison
from vector_assets.training.loop import History
from vector_assets.training.objectives import Head
from vector_assets.training.scoring import Classified

_MOST_NAMED = 40  # labels beside a confusion matrix; more cannot be read


def write_report(
    folder: Path,
    history: History,
    comparison: Comparison,
    counts: Mapping[str, float],
    accuracy: Comparison | None = None,
    classified: Classified | None = None,
) -> tuple[Path, ...]:
    """Write curves.png, report.json and, of a classification, confusion.png; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "best_step": history.best_step,
        "chosen_by": history.metric,
        "seconds": history.seconds,
        "gap": history.gap,
        "test": asdict(comparison),
        "test_accuracy": asdict(accuracy) if accuracy else None,
        "evaluations": [asdict(found) for found in history.evaluations],
        "steps": [asdict(step) for step in history.steps],
        "pairs": dict(counts),
    }
    path = folder / "report.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    pictures = [draw_curves(history, folder / "curves.png")]
    if classified:
        pictures.append(draw_confusions(classified, folder / "confusion.png"))
    return *pictures, path


def write_head(folder: Path, head: Head, labels: Sequence[str]) -> Path:
    """Write head.safetensors: ``weight`` (labels, dims), ``bias`` where there is one, the labels in its metadata."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "head.safetensors"
    save_file(head.state(), path, metadata={"labels": json.dumps(list(labels), ensure_ascii=False)})
    return path


def draw_curves(history: History, path: Path) -> Path:
    """Draw loss per step, and what chose on validation, with the base as a line and the best point marked."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    left.plot([step.step for step in history.steps], [step.loss for step in history.steps], lw=1.2, color="tab:blue")
    left.set(title="Training loss", xlabel="step", ylabel="loss")
    steps = [found.step for found in history.evaluations]
    values = [found.metrics[history.metric] for found in history.evaluations]
    base, best = values[0], values[steps.index(history.best_step)]
    right.axhline(base, color="tab:gray", ls="--", lw=1, label=f"untrained base {base:.3f}")
    right.plot(steps, values, marker="o", ms=4, color="tab:green")
    right.plot([history.best_step], [best], marker="*", ms=14, ls="", color="tab:red", label=f"kept {best:.3f}")
    right.set(title="Validation", xlabel="step", ylabel=history.metric.replace("mrr", "MRR"))
    right.legend(loc="lower right", fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    figure.savefig(path)
    return path


def draw_confusions(classified: Classified, path: Path) -> Path:
    """Draw how often each label of the test texts was taken for which, as shares of its texts."""
    from matplotlib.figure import Figure
    from sklearn.metrics import confusion_matrix

    labels = sorted({*classified.truth, *classified.said})
    matrix = confusion_matrix(classified.truth, classified.said, labels=labels, normalize="true")
    figure = Figure(figsize=(7, 6), layout="constrained", dpi=120)
    axes = figure.subplots()
    shown = axes.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    axes.set(title=f"Test, accuracy {classified.correct.mean():.3f}", xlabel="said", ylabel="is")
    if len(labels) <= _MOST_NAMED:
        axes.set_xticks(range(len(labels)), [label[:24] for label in labels], rotation=90, fontsize=6)
        axes.set_yticks(range(len(labels)), [label[:24] for label in labels], fontsize=6)
    figure.colorbar(shown, ax=axes)
    figure.savefig(path)
    return path
