"""Whether two samples of vectors come from one distribution: the classifier two-sample test.

Lopez-Paz and Oquab, "Revisiting Classifier Two-Sample Tests" (2017): train a classifier to tell the samples apart, and
judge it on vectors it has not seen. Where it can do no better than chance (AUC 0.5), nothing has drifted in any way
that this classifier could see; near 1, the two are different things.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Vectors

MINIMUM = 50  # of each side, copies counted once; fewer say nothing of a distribution
FOLDS = 5
_Z95 = 1.959964
# Vectors have hundreds of dimensions and samples hundreds of rows: without this much shrinkage the classifier learns
# its sample by heart and tells small drifts worse.
_INVERSE_PENALTY = 0.01
_SAME = 0.9999  # cosine from which two vectors are copies of each other
_BLOCK = 1024

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TwoSample:
    """How well a classifier tells two samples apart, by vectors that it was not trained on.

    ``low`` and ``high`` are the 95 % interval of the AUC; ``p`` is of "they are alike". All three are NaN, and the AUC
    0.5, when ``enough`` is False: too few vectors. The scores are one held-out probability per vector, higher for what
    looks more like the second sample.
    """

    auc: float
    low: float
    high: float
    p: float
    reference: int
    current: int
    enough: bool
    reference_scores: Scores
    current_scores: Scores

    def exceeds(self, bound: float) -> bool:
        """Tell whether the AUC is above a bound beyond doubt: its whole interval is.

        So even samples whose true AUC is the bound itself trip it in at most one case of forty.
        """
        return self.enough and self.low > bound


def two_sample(reference: Vectors, current: Vectors, *, seed: int = 0) -> TwoSample:
    """Compare two samples, (n, dims) and (m, dims). Memory is that of both, in double precision, a few times.

    Logistic regression on standardised vectors, cross-validated. Copies of one vector, on whichever side, are kept in
    one fold: else the classifier would be asked of what it was told. The AUC is the mean over folds, so that no fold's
    scale counts. Its variance is DeLong's (1988) of a fold, widened for folds that were learned from the same vectors
    (Nadeau and Bengio 2003): taken as independent, 8 of 100 equal samples were outside where 2.5 were stated.
    """
    sides = np.repeat([0, 1], [len(reference), len(current)])
    if min(len(reference), len(current)) < MINIMUM:
        return _too_few(len(reference), len(current))
    vectors = np.concatenate([reference, current])
    copies = _copies(vectors)
    counts = [len(np.unique(copies[sides == side])) for side in (0, 1)]
    if min(counts) < MINIMUM:
        return _too_few(*counts)
    scores = np.full(len(vectors), np.nan)
    areas, variances = [], []
    for held in _folds(copies, sides, seed):
        if min(np.bincount(sides[held], minlength=2)) < 2:
            continue
        scores[held] = _told_apart(vectors[~held], sides[~held], vectors[held])
        own = sides[held] == 1
        area, variance = auc_with_variance(scores[held][~own], scores[held][own])
        areas.append(area)
        variances.append(variance)
    auc = float(np.mean(areas))
    # Copies say the same thing several times: an interval is as wide as the different ones allow.
    told = float(np.mean(variances)) * (1 / FOLDS + 1 / (FOLDS - 1)) * len(vectors) / sum(counts)
    half = _Z95 * told**0.5
    return TwoSample(
        auc=auc,
        low=max(auc - half, 0.0),
        high=min(auc + half, 1.0),
        p=_chance(auc, told),
        reference=len(reference),
        current=len(current),
        enough=True,
        reference_scores=scores[(sides == 0) & ~np.isnan(scores)],
        current_scores=scores[(sides == 1) & ~np.isnan(scores)],
    )


def _too_few(reference: int, current: int) -> TwoSample:
    return TwoSample(0.5, np.nan, np.nan, np.nan, reference, current, False, np.zeros(0), np.zeros(0))


def auc_with_variance(negative: Scores, positive: Scores) -> tuple[float, float]:
    """Return the area under the ROC curve and DeLong's variance of it, by midranks (Sun and Xu 2014); ties half.

    Each side has at least two scores.
    """
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate([positive, negative]))
    above = (ranks[:m] - rankdata(positive)) / n  # of each positive: the share of negatives below it
    below = 1 - (ranks[m:] - rankdata(negative)) / m
    return float(above.mean()), float(above.var(ddof=1) / m + below.var(ddof=1) / n)


def draw_scores(found: TwoSample, path: Path, *, title: str, names: Sequence[str]) -> Path:
    """Draw how the classifier scored both samples and write a PNG; apart means drifted. Returns its path."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    bins = np.linspace(0, 1, 41).tolist()
    sides = ((found.reference_scores, "#1f77b4"), (found.current_scores, "#d95f02"))
    for (scores, colour), name in zip(sides, names, strict=True):
        weights = np.full(len(scores), 1 / max(len(scores), 1))
        axes.hist(scores, bins, weights=weights, alpha=0.6, color=colour, label=f"{name} ({len(scores)})")
    axes.set_xlabel("how much a vector looks like one of the second sample, held out")
    axes.set_ylabel("share")
    axes.set_title(title, loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def _told_apart(known: Vectors, sides: NDArray[np.int64], held: Vectors) -> Scores:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(
        StandardScaler(), LogisticRegression(C=_INVERSE_PENALTY, class_weight="balanced", max_iter=500)
    )
    classifier.fit(known, sides)
    found: Scores = classifier.predict_proba(held)[:, 1]
    return found


def _folds(copies: NDArray[np.int64], sides: NDArray[np.int64], seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield masks of what is held out: whole groups of copies, as many of either side in each fold as can be."""
    names, first, members = np.unique(copies, return_index=True, return_inverse=True)
    fold = np.empty(len(names), np.int64)
    random = np.random.default_rng(seed)
    for side in (0, 1):
        own = sides[first] == side
        fold[own] = random.permutation(int(own.sum())) % FOLDS
    for number in range(FOLDS):
        yield fold[members] == number


def _copies(vectors: Vectors) -> NDArray[np.int64]:
    """Return for each vector the place of the first one that it is a copy of, its own when there is none before."""
    norms = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    units = (vectors / norms).astype(np.float32)
    first = np.empty(len(units), np.int64)
    for start in range(0, len(units), _BLOCK):
        stop = start + _BLOCK
        first[start:stop] = np.argmax(units[start:stop] @ units.T >= _SAME - 1e-6, axis=1)
    return first


def _chance(auc: float, variance: float) -> float:
    """Return the two-sided p of an AUC under "alike"."""
    from scipy.stats import norm

    return float(2 * norm.sf(abs(auc - 0.5) / max(variance, 1e-12) ** 0.5))
