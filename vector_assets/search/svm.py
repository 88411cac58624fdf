"""Ranking by a support vector machine: what tells the positives from everything else, learned while one asks.

After A. Karpathy, "kNN vs. SVM" (github.com/karpathy/randomfun, knn_vs_svm.ipynb), there with one exemplar as the only
positive (exemplar SVM, Malisiewicz, Gupta and Efros 2011). Nearness counts every direction alike; the machine learns
which directions set the positives apart from the rest of the table, and ranks by its decision value.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vector_assets.errors import UserError
from vector_assets.records import Vectors

#: How many of the nearest rows are ranked anew, and how many rows of the whole table stand against the positives.
NEAREST: Final = 2000
SAMPLED: Final = 2000

C: Final = 0.1  # as in the source; 1 suits many clean positives
_ITERATIONS, _TOLERANCE = 10_000, 1e-6  # as in the source


def decision_values(
    positives: Vectors, others: Vectors, candidates: Vectors, *, disliked: Vectors | None = None, c: float = C
) -> NDArray[np.float64]:
    """Return (m,) decision values of (m, dims) candidates: the higher, the more they are like the positives.

    Positives are (p, dims), of unit length like all; others are negatives that nobody judged, disliked ones were
    judged. Positives and negatives weigh the same in sum, however few the positives are (class_weight "balanced" in
    scikit-learn); where there are disliked rows, these are half of what is negative, or they would drown among the
    others. The same input gives the same values in any process. Raises UserError where one side is empty, for then
    there is nothing to tell apart.
    """
    against = others[:0] if disliked is None else disliked
    sides = {"positive": len(positives), "negative": len(others) + len(against)}
    for side, count in sides.items():
        if not count:
            raise UserError(
                f"method svm has no {side} examples; expected a question or --like, and at least one other row with a "
                "vector: ask with --method vector"
            )
    from sklearn.svm import LinearSVC

    known = np.concatenate([positives, against, others]).astype(np.float64)
    half = len(known) / 2
    groups = [(len(positives), half)]
    groups += [(len(group), half / 2 if len(against) and len(others) else half) for group in (against, others)]
    weights = np.concatenate([np.full(count, whole / max(count, 1)) for count, whole in groups])
    # dual="auto" solves the smaller of the two problems, which have the same optimum; neither draws at random here.
    machine = LinearSVC(C=c, max_iter=_ITERATIONS, tol=_TOLERANCE, dual="auto", random_state=0)
    machine.fit(known, np.repeat([1, 0], list(sides.values())), sample_weight=weights)
    values: NDArray[np.float64] = machine.decision_function(candidates.astype(np.float64))
    return values
