"""Two pictures of a measured generation: recall against latency, and what is promised against what is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vector_assets.index.calibrating import Kept
from vector_assets.records.calibration import Calibrated

_COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown")
_QUIET = "#777777"


def draw_recall(
    recalls: Sequence[Mapping[str, float]], path: Path, *, title: str, declared: float, worst: float | None = None
) -> Path | None:
    """Draw mean and worst recall over the p50 of a query, a point a width; over the width where no time was taken.

    ``recalls`` are in the order tried, the chosen one last. Returns None where there are none.
    """
    if not recalls:
        return None
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    points = sorted(recalls, key=lambda each: each["ef_search"])
    timed = all(each.get("p50") for each in points)
    across = [each["p50"] if timed else each["ef_search"] for each in points]
    figure = Figure(figsize=(8, 4), layout="constrained", dpi=110)
    axes = figure.add_subplot()
    axes.axhline(declared, color="tab:red", ls=":", lw=1.2, label=f"declared mean {declared:g}", zorder=1)
    if worst is not None:
        axes.axhline(worst, color="tab:red", ls="--", lw=0.8, label=f"declared worst query {worst:g}", zorder=1)
    axes.plot(across, [each["mean"] for each in points], marker="o", ms=5, color=_COLOURS[0], label="mean of queries")
    axes.plot(across, [each["worst"] for each in points], marker=".", lw=1, color=_QUIET, label="worst query")
    if timed and all(each.get("p99") for each in points):
        for each in points:
            axes.plot([each["p50"], each["p99"]], [each["mean"]] * 2, color=_COLOURS[0], alpha=0.25, lw=3, zorder=0)
        axes.plot([], [], color=_COLOURS[0], alpha=0.25, lw=3, label="up to the p99 of queries")
    for number, each in enumerate(points):
        above = number % 2 == 0
        axes.annotate(
            f"{each['ef_search']:.0f}", (across[number], each["mean"]), (0, 7 if above else -7),
            textcoords="offset points", ha="center", va="bottom" if above else "top", fontsize=7, color=_COLOURS[0],
        )  # fmt: skip
    chosen = recalls[-1]
    axes.plot(
        chosen["p50"] if timed else chosen["ef_search"], chosen["mean"], "o", ms=12, mfc="none", mec="black",
        label=f"chosen, width {chosen['ef_search']:.0f}",
    )  # fmt: skip
    low = min(*(each["worst"] for each in points), declared, worst or 1.0)
    axes.set_ylim(max(low - 0.06, -0.02), 1.03)
    axes.set(
        xlabel="p50 of a query, ms (SQL alone)" if timed else "width of the search (ef_search or probes)",
        ylabel="recall@10",
    )
    axes.xaxis.set_major_locator(MaxNLocator(8))
    axes.set_yticks([tick for tick in axes.get_yticks() if -1e-9 <= tick <= 1 + 1e-9])
    if max(across) == min(across):
        axes.set_xlim(0, 2 * across[0] or 1)
    axes.set_title(title, loc="left", fontsize=10)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="lower right")
    return _saved(figure, path)


def draw_reliability(found: Mapping[str, tuple[Calibrated, Kept]], path: Path, *, title: str) -> Path | None:
    """Draw how often hits are right over what was promised of them, ten bins a method, by questions not learned from.

    Beside it the probability by score, with the score that the declared precision is kept from. Returns None where
    nothing was held against other questions.
    """
    measured = {name: each for name, each in found.items() if each[0].reliability}
    if not measured:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.4), layout="constrained", dpi=110)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=_QUIET, lw=1, ls=":", label="as promised")
    for number, (name, (calibrated, kept)) in enumerate(measured.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        reliability = calibrated.reliability
        assert reliability is not None
        left.errorbar(
            [each.promised for each in reliability.bins], [each.right for each in reliability.bins],
            yerr=_half_widths([(each.right, each.hits) for each in reliability.bins]), color=colour, marker="o", ms=4,
            lw=1.2, elinewidth=0.8, capsize=2, label=f"{name}, ECE {reliability.ece:.3f}",
        )  # fmt: skip
        scores, values = np.array(calibrated.knots).T
        places = (scores - scores[0]) / ((scores[-1] - scores[0]) or 1.0) if len(measured) > 1 else scores
        right.plot(places, values, color=colour, lw=1.6, label=f"{name}, {calibrated.form}")
        if kept.threshold is not None:
            place = np.interp(kept.threshold, scores, places)
            right.axvline(
                place, color=colour, lw=1, ls="--", label=f"{100 * kept.stated:g} % right from {kept.threshold:.4g}"
            )
    left.set(xlabel="promised probability", ylabel="share that is right", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    left.set_aspect("equal")
    right.set(
        xlabel="score, from its lowest (0) to its highest (1)" if len(measured) > 1 else "score",
        ylabel="probability that a hit is right", ylim=(-0.02, 1.02),
    )  # fmt: skip
    for axes in (left, right):
        axes.grid(alpha=0.25)
        axes.legend(fontsize=7, loc="upper left")
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    return _saved(figure, path)


def _half_widths(bins: Sequence[tuple[float, int]]) -> list[list[float]]:
    """Return the distances to Wilson's 95 % limits, below and above."""
    below, above = [], []
    for share, count in bins:
        z2 = 1.96**2
        centre = (share + z2 / (2 * count)) / (1 + z2 / count)
        half = 1.96 / (1 + z2 / count) * (share * (1 - share) / count + z2 / (4 * count**2)) ** 0.5
        below.append(max(share - (centre - half), 0.0))
        above.append(max(centre + half - share, 0.0))
    return [below, above]


def _saved(figure: Any, path: Path) -> Path:  # noqa: ANN401 - matplotlib's figure
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path
