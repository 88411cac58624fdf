"""A picture of a space: UMAP to two dimensions, coloured by a category of the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Vectors

# UMAP's own defaults (McInnes et al. 2018). From 4,096 points on it searches neighbours approximately, and compiling
# that search takes longer (some 30 s a process) than the whole map below; more dots would also cover each other.
NEIGHBOURS, MIN_DIST, MAX_POINTS = 15, 0.1, 4_000
COLOURS = 18


def project(vectors: Vectors, *, seed: int = 0) -> NDArray[np.float32]:
    """Return (n, 2) points whose neighbourhoods are those of the (n, dims) vectors by cosine; the seed fixes them.

    Fewer than five vectors are laid on a line: there is no neighbourhood to keep.
    """
    count = len(vectors)
    if count < 5:
        return np.column_stack([np.arange(count), np.zeros(count)]).astype(np.float32)
    import warnings

    from sklearn.metrics.pairwise import cosine_distances
    from umap import UMAP

    # UMAP would ask its own cosine pair by pair: most of the time for 4,000 points.
    reducer = UMAP(
        n_neighbors=min(NEIGHBOURS, count - 1), min_dist=MIN_DIST, metric="precomputed", random_state=seed, n_jobs=1
    )
    with warnings.catch_warnings():
        # Tiny collections have fewer rows than UMAP would like for its spectral start; it falls back to a random one.
        warnings.simplefilter("ignore")
        points: NDArray[np.float32] = np.asarray(reducer.fit_transform(cosine_distances(vectors)), dtype=np.float32)
    return points


def draw_map(points: NDArray[np.float32], labels: Sequence[str], path: Path, *, title: str) -> Path:
    """Draw points coloured by label, the rarest labels together in grey, and write a PNG; returns its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    counted = Counter(labels)
    shown = [label for label, _ in counted.most_common(COLOURS)]
    palette = [*_colours(), "#c8c8c8"]
    names = np.array([label if label in shown else "" for label in labels], dtype=object)
    for number, label in enumerate([*shown, ""]):
        chosen = names == label
        if not chosen.any():
            continue
        rest = len(counted) - len(shown)
        text = f"{label} ({counted[label]})" if label else f"{rest} more ({int(chosen.sum())})"
        axes.scatter(
            points[chosen, 0], points[chosen, 1], s=5, linewidths=0, alpha=0.75, zorder=1 if label else 0,
            color=palette[number] if label else palette[-1], label=text,
        )  # fmt: skip
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    if len(counted) > 1:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=3, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _colours() -> list[tuple[float, float, float]]:
    from matplotlib import colormaps

    first, second = colormaps["tab10"], colormaps["Dark2"]
    return [first(i)[:3] for i in range(10)] + [second(i)[:3] for i in range(8)]
