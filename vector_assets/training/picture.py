"""Held-out vectors before and after training, side by side in two dimensions: what moved where."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Vectors
from vector_assets.training.retrieval import Pool

COLOURS = 20
MAX_TEXTS = 600  # t-SNE takes seconds, and more dots cover each other
MAX_PAIRS = 150
#: Fewer are laid out by their principal components: t-SNE has no neighbourhoods to keep.
FEW = 50

Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which vectors are drawn, in which colour; ``links`` are lines between two of them, a query and its answer."""

    documents: NDArray[np.intp]
    queries: NDArray[np.intp]
    names: Sequence[str]  # one for each, documents first; "" has no name of its own
    links: Sequence[tuple[int, int]]
    left_out: int  # labels not drawn


@dataclass(frozen=True, slots=True)
class Arm:
    """One model's vectors of the whole pool, and what stands above its picture. Labelled texts have no queries."""

    title: str
    documents: Vectors
    queries: Vectors


def draw_vectors(
    pool: Pool, groups: Sequence[str], before: Arm, after: Arm, path: Path, *, seed: int = 0
) -> Path | None:
    """Draw the same texts of a pool by two models and write a PNG; None where there are fewer than three texts.

    Labelled texts are coloured by label, those of the most frequent labels alone. Of pairs, ``groups`` (of each
    document) colour, and a line joins each query with its answer: it is short where the query finds it.
    """
    shown = _of_labels(pool, seed) if pool.labels else _of_pairs(pool, groups, seed)
    if len(shown.names) < 3:
        return None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5.6), layout="constrained", dpi=100)
    for axes, arm in zip(figure.subplots(1, 2), (before, after), strict=True):
        vectors = np.concatenate([arm.documents[shown.documents], arm.queries[shown.queries]])
        _draw(axes, lay_out(vectors, seed=seed), shown)
        axes.set_title(arm.title, loc="left", fontsize=11)
    handles, labels = figure.axes[1].get_legend_handles_labels()
    if 1 < len(labels) <= COLOURS + 1:
        figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=7, markerscale=1.6)
    what = "labelled texts" if pool.labels else "documents (dots) and the queries they answer (crosses)"
    rest = f"; {shown.left_out} more labels are left out" if shown.left_out else ""
    figure.suptitle(f"Test, {len(shown.names)} {what}{rest}", fontsize=9, x=0.01, ha="left")
    figure.savefig(path)
    return path


def lay_out(vectors: Vectors, *, seed: int = 0) -> Points:
    """Return (n, 2) points: t-SNE (van der Maaten and Hinton 2008), or two principal components of a few vectors."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    if len(vectors) < FEW:
        return np.asarray(PCA(2, random_state=seed).fit_transform(vectors), np.float32)
    perplexity = min(30.0, (len(vectors) - 1) / 4)
    laid = TSNE(2, perplexity=perplexity, init="pca", random_state=seed, max_iter=500, n_jobs=1)
    return np.asarray(laid.fit_transform(vectors), np.float32)


def _of_labels(pool: Pool, seed: int) -> Shown:
    counts = Counter(pool.labels)
    most = sorted(counts, key=lambda label: (-counts[label], label))[:COLOURS]
    places = np.flatnonzero(np.isin(np.array(pool.labels, dtype=object), most))
    places = np.sort(np.random.default_rng(seed).permutation(places)[:MAX_TEXTS])
    names = [pool.labels[place] for place in places]
    return Shown(places, np.empty(0, np.intp), names, (), len(counts) - len(most))


def _of_pairs(pool: Pool, groups: Sequence[str], seed: int) -> Shown:
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pool.queries))[:MAX_PAIRS])
    answers = [sorted(int(key) for key in pool.queries[query].relevant)[0] for query in chosen]
    documents = np.array(sorted(set(answers)), np.intp)
    place = {int(document): number for number, document in enumerate(documents)}
    named = groups if 1 < len(set(groups)) <= COLOURS else [""] * len(pool.documents)
    names = [named[document] for document in (*documents, *answers)]
    links = [(len(documents) + number, place[answer]) for number, answer in enumerate(answers)]
    return Shown(documents, chosen, names, links, 0)


def _draw(axes: Any, points: Points, shown: Shown) -> None:  # noqa: ANN401 - matplotlib's axes
    from matplotlib import colormaps
    from matplotlib.collections import LineCollection

    if shown.links:
        lines = LineCollection([points[list(link)] for link in shown.links], colors="#999999", linewidths=0.5)
        axes.add_collection(lines)
    names = np.array(shown.names, dtype=object)
    is_query = np.arange(len(names)) >= len(shown.documents)
    for number, name in enumerate(sorted(set(shown.names))):
        colour = colormaps["tab20"](number % COLOURS)
        mine = names == name
        for chosen, marker, size in ((mine & ~is_query, "o", 14), (mine & is_query, "x", 16)):
            label = name[:28] if marker == "o" and name else None
            axes.scatter(points[chosen, 0], points[chosen, 1], s=size, marker=marker, color=colour, label=label,
                         linewidths=0.8 if marker == "x" else 0, zorder=2)  # fmt: skip
    axes.set(xticks=[], yticks=[])
    for side in axes.spines.values():
        side.set_visible(False)
