"""What fewer dims keep, as numbers and as a picture: of the variance, and of the ten nearest by all dims."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vector_assets.training.pca import Components


@dataclass(frozen=True, slots=True)
class Kept:
    """Share of the ten nearest by all dims that are found, by pool: by the first dims, and by the learned ones."""

    first: Mapping[str, float]
    learned: Mapping[str, float]


def numbers_of(found: Components, kept: Kept) -> dict[str, object]:
    """Return what report.json says of a reduction."""
    dims = len(found.weight)
    return {
        "dims": dims,
        "encoder_dims": len(found.explained),
        "explained_variance": float(found.explained[dims - 1]),
        "explained_variance_of_first_dims": float(found.cut[dims - 1]),
        "nearest_kept": dict(kept.learned),
        "nearest_kept_by_first_dims": dict(kept.first),
    }


def write_shares(folder: Path, found: Components) -> Path:
    """Write variance.csv: for some numbers of dims the share of the variance that learned and first ones keep."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "variance.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["dims", "learned", "first"])
        for dims in _some(len(found.explained), len(found.weight)):
            writer.writerow([dims, *(f"{float(share[dims - 1]):.4f}" for share in (found.explained, found.cut))])
    return path


def draw_kept(folder: Path, found: Components, kept: Kept) -> Path:
    """Draw reduction.png: the variance by dims, and beside it the nearest that are kept."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    folder.mkdir(parents=True, exist_ok=True)
    dims, width = len(found.weight), len(found.explained)
    figure = Figure(figsize=(9, 3.6), layout="constrained", dpi=120)
    left, right = figure.subplots(1, 2)
    for share, name, colour in ((found.explained, "learned", "tab:green"), (found.cut, "first", "tab:gray")):
        left.plot(range(1, width + 1), share, color=colour, lw=1.4, label=f"{name} dims: {share[dims - 1]:.3f}")
    left.axvline(dims, color="tab:red", ls="--", lw=1)
    left.set(title=f"Variance kept by {dims} of {width} dims", xlabel="dims", ylabel="share", ylim=(0, 1.02))
    left.legend(loc="lower right", fontsize=8)
    names = list(kept.learned)
    for offset, (some, name, colour) in enumerate(
        ((kept.first, "first", "tab:gray"), (kept.learned, "learned", "tab:green"))
    ):
        bars = right.bar(
            [place + 0.4 * offset for place in range(len(names))], [some[one] for one in names], width=0.38,
            color=colour, label=f"{name} dims",
        )  # fmt: skip
        right.bar_label(bars, fmt="%.3f", fontsize=7)
    right.set_xticks([place + 0.2 for place in range(len(names))], names)
    right.set(title="Of the ten nearest by all dims", ylabel="share found", ylim=(0, 1.08))
    right.legend(loc="lower right", fontsize=8)
    for axes in (left, right):
        axes.grid(alpha=0.25)
    path = folder / "reduction.png"
    figure.savefig(path)
    return path


def _some(width: int, dims: int) -> list[int]:
    """Return powers of two from 8 below the width, the chosen dims and the width itself."""
    return sorted({dims, width, *(2**power for power in range(3, width.bit_length()) if 2**power <= width)})
