"""What a run looked like: pictures of curves and confusions, the numbers as JSON, the head beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from vector_assets.metrics import shown_metric
from vector_assets.records import Comparison, TrainingSet
from vector_assets.training.classes import ClassScore, Confusion, class_scores, confusions, write_csv
from vector_assets.training.history import History
from vector_assets.training.objectives import Head
from vector_assets.training.picture import Arm, draw_vectors
from vector_assets.training.retrieval import Pool
from vector_assets.training.scoring import Classified, Scored

_MOST_NAMED = 30  # labels beside a confusion matrix; more cannot be read
_MOST_PAIRS = 18  # bars beside it


def write_report(
    folder: Path,
    history: History,
    comparison: Comparison,
    counts: Mapping[str, float],
    accuracy: Comparison | None = None,
    classified: Classified | None = None,
) -> tuple[Path, ...]:
    """Write curves.png, report.json and, of a classification, confusion.png, classes.csv and confusions.csv."""
    path = write_numbers(folder, history, comparison, counts, accuracy)
    written = [draw_curves(history, folder / "curves.png")]
    if classified:
        written.append(draw_confusions(classified, folder / "confusion.png"))
        written.append(write_csv(class_scores(classified), ClassScore, folder / "classes.csv"))
        written.append(write_csv(confusions(classified), Confusion, folder / "confusions.csv"))
    return *written, path


def write_numbers(
    folder: Path,
    history: History,
    comparison: Comparison,
    counts: Mapping[str, float],
    accuracy: Comparison | None = None,
    **more: object,
) -> Path:
    """Write report.json, with ``more`` of what a run found in it."""
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
        **more,
    }
    path = folder / "report.json"
    path.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return path


def draw_test(folder: Path, training_set: TrainingSet, pool: Pool, base: Scored, tuned: Scored) -> tuple[Path, ...]:
    """Draw vectors.png, the test texts before and after; nothing where the base was kept, since nothing moved.

    Nor for a student: its questions are the texts themselves, and what it should give are the teacher's vectors.
    """
    if base is tuned or (pool.own and not pool.labels) or base.documents is None or tuned.documents is None:
        return ()
    assert base.queries is not None and tuned.queries is not None
    group = {pair.document: pair.group for pair in training_set.split("test")}
    metric = "accuracy" if "accuracy" in base.metrics and "accuracy" in tuned.metrics else tuned.metric
    named = shown_metric(metric)
    arms = [
        Arm(f"{name}: {named} {one.metrics[metric]:.3f}", documents, queries)
        for name, one, documents, queries in (
            ("Untrained base", base, base.documents, base.queries), ("Tuned", tuned, tuned.documents, tuned.queries),
        )
    ]  # fmt: skip
    drawn = draw_vectors(pool, [group[text] for text in pool.documents], arms[0], arms[1], folder / "vectors.png")
    return (drawn,) if drawn else ()


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
    right.set(title="Validation", xlabel="step", ylabel=shown_metric(history.metric))
    right.legend(loc="lower right", fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    figure.savefig(path)
    return path


def draw_confusions(classified: Classified, path: Path) -> Path:
    """Draw the test texts of each label as shares of what they were taken for, and the most frequent confusions."""
    from matplotlib.figure import Figure
    from sklearn.metrics import confusion_matrix

    labels = sorted({*classified.truth, *classified.said})
    matrix = confusion_matrix(classified.truth, classified.said, labels=labels, normalize="true")
    found = confusions(classified)[:_MOST_PAIRS]
    figure = Figure(figsize=(13, 6), layout="constrained", dpi=100)
    left, right = figure.subplots(1, 2, width_ratios=(1.1, 1))
    shown = left.imshow(matrix, cmap="Blues", vmin=0, vmax=1)
    named = len(labels) <= _MOST_NAMED
    left.set(title=f"Accuracy {classified.correct.mean():.3f}, macro F1 {classified.metrics['f1_macro']:.3f}")
    left.set(xlabel="said" if named else f"said ({len(labels)} labels by name)", ylabel="is")
    left.set_xticks(range(len(labels)) if named else [], [_cut(one) for one in labels] if named else [], rotation=90)
    left.set_yticks(range(len(labels)) if named else [], [_cut(one) for one in labels] if named else [])
    left.tick_params(labelsize=6)
    figure.colorbar(shown, ax=left, shrink=0.8, label="share of the texts of a label")
    texts = [f"{_cut(one.label)} \u2192 {_cut(one.taken_for)}" for one in reversed(found)]
    right.barh(texts, [one.texts for one in reversed(found)], color="tab:red", height=0.6)
    for place, one in enumerate(reversed(found)):
        right.text(one.texts, place, f" {one.texts} ({one.share:.0%})", va="center", fontsize=7)
    right.set(title="Most confused: is \u2192 said", xlabel="test texts (share of those of the label)")
    right.tick_params(labelsize=7)
    right.margins(x=0.18)
    right.xaxis.get_major_locator().set_params(integer=True)
    right.spines[["top", "right"]].set_visible(False)
    if not found:
        right.text(0.5, 0.5, "none", transform=right.transAxes, ha="center")
    figure.savefig(path)
    return path


def _cut(label: str) -> str:
    return label if len(label) <= 26 else label[:25] + "\u2026"
