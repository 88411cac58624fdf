"""Semantic textual similarity: whether the cosine of two texts rises with how alike people found them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from vector_assets.records import Vectors

MAIN = "cosine_spearman"

Scores = dict[str, object]


def sts_scores(left: Vectors, right: Vectors, scores: Sequence[float]) -> Scores:
    """Return the rank correlation (Spearman) and the linear one (Pearson) of cosine and score; 0 where none is defined.

    ``left`` and ``right`` are (n, dims) of unit length, pair by pair. Equal cosines share their mean rank.
    """
    from scipy.stats import pearsonr, spearmanr

    cosines = np.sum(left.astype(np.float64) * right, axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant input, said by nan
        ranked, linear = (float(f(cosines, np.asarray(scores, np.float64)).statistic) for f in (spearmanr, pearsonr))
    found = {"cosine_spearman": np.nan_to_num(ranked), "cosine_pearson": np.nan_to_num(linear)}
    plain = {name: float(value) for name, value in found.items()}
    return {**plain, "main_score": plain[MAIN]}
