"""A learning curve as a picture and as a table."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from vector_assets.spec import Start
from vector_assets.training.curve.points import Measured

_COLOURS: Mapping[Start, str] = {"pretrained": "tab:blue", "scratch": "tab:orange"}


def write_points(found: Measured, path: Path) -> Path:
    """Write one line a point."""
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = [asdict(point) for point in found.points]
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows({name: f"{v:.6g}" if isinstance(v, float) else v for name, v in one.items()} for one in lines)
    return path


def draw_points(found: Measured, max_gap: float, path: Path) -> Path:
    """Draw the score over rows, and the gap with its band; a line a start, a band where there are several draws."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no display
    from matplotlib.ticker import NullLocator

    figure = Figure(figsize=(10, 4), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    for start in found.starts:
        colour = _COLOURS[start]
        for axes, name, line, label in (
            (left, "validation", "-", f"{start}, validation"), (left, "test", "--", f"{start}, test"),
            (right, "gap", "-", start),
        ):  # fmt: skip
            series = found.series(start, name)
            rows, values = list(series), [np.asarray(one) for one in series.values()]
            axes.plot(rows, [one.mean() for one in values], ls=line, marker="o", ms=4, color=colour, label=label)
            if line == "-" and any(len(one) > 1 for one in values):
                low, high = [one.min() for one in values], [one.max() for one in values]
                axes.fill_between(rows, low, high, color=colour, alpha=0.15, lw=0)
    right.axhline(max_gap, color="tab:red", ls=":", lw=1.2, label=f"max_gap {max_gap:g}")
    named = found.metric.replace("mrr", "MRR")
    left.set(title="Score on held-out texts", ylabel=named)
    right.set(title="What was learned from, beyond validation", ylabel=f"gap in {named}")
    ticks = sorted({point.rows for point in found.points})
    for axes in (left, right):
        axes.set(xscale="log", xlabel="rows learned from (log scale)")
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7)
    figure.savefig(path)
    return path
