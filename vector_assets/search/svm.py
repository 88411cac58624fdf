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
    positives: Vectors, negatives: Vectors, candidates: Vectors, *, c: float = C
) -> NDArray[np.float64]:
    """Return (m,) decision values of (m, dims) candidates: the higher, the more they are like the positives.

    Positives are (p, dims), negatives (n, dims), all of unit length. Both sides weigh the same in sum, however few the
    positives are. The same input gives the same values in any process. Raises UserError where one side is empty, for
    then there is nothing to tell apart.
    """
    if not len(positives) or not len(negatives):
        missing = "positive" if not len(positives) else "negative"
        raise UserError(
            f"method svm has no {missing} examples; expected a question or --like, and at least one other row with a "
            "vector: ask with --method vector"
        )
    from sklearn.svm import LinearSVC

    # dual="auto" solves the smaller of the two problems, which have the same optimum; neither draws at random here.
    machine = LinearSVC(C=c, class_weight="balanced", max_iter=_ITERATIONS, tol=_TOLERANCE, dual="auto", random_state=0)
    known = np.concatenate([positives, negatives]).astype(np.float64)
    machine.fit(known, np.repeat([1, 0], [len(positives), len(negatives)]))
    values: NDArray[np.float64] = machine.decision_function(candidates.astype(np.float64))
    return values


def by_value(values: NDArray[np.float64], keys: list[str]) -> list[int]:
    """Return places by falling value, equal ones by key, so that the order never depends on how rows came."""
    return sorted(range(len(keys)), key=lambda place: (-values[place], keys[place]))
