"""Classification: how well a logistic regression does with a few texts of each label (MTEB's protocol)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import Vectors

MAIN = "accuracy"
ITERATIONS = 100

Scores = dict[str, object]


def classification_scores(
    train: Vectors, train_labels: Sequence[str], test: Vectors, test_labels: Sequence[str], *,
    shots: int = 8, draws: int = 10, seed: int = 0,
) -> Scores:  # fmt: skip
    """Return accuracy, macro and weighted F1 on test: means over the draws, and each draw.

    Vectors are (n, dims). A draw takes at most ``shots`` texts of each label of train. Raises ValueError where train
    has one label only.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, f1_score

    labels, truth = np.asarray(train_labels), np.asarray(test_labels)
    found: list[dict[str, float]] = []
    for draw in range(draws):
        places = drawn(labels, shots=shots, seed=seed + draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # 100 iterations are the protocol
            probe = LogisticRegression(max_iter=ITERATIONS, random_state=seed + draw).fit(train[places], labels[places])
        said = probe.predict(test)
        found.append(
            {
                "accuracy": float(accuracy_score(truth, said)),
                "f1": float(f1_score(truth, said, average="macro", zero_division=0)),
                "f1_weighted": float(f1_score(truth, said, average="weighted", zero_division=0)),
            }
        )
    means = {name: float(np.mean([one[name] for one in found])) for name in found[0]}
    spread = float(np.std([one[MAIN] for one in found]))
    return {**means, "accuracy_std": spread, "scores_per_experiment": found, "main_score": means[MAIN]}


def drawn(labels: NDArray[np.str_], *, shots: int, seed: int) -> NDArray[np.intp]:
    """Return places of at most ``shots`` texts of each label, drawn by the seed."""
    order = np.random.default_rng(seed).permutation(len(labels))
    return np.concatenate([order[labels[order] == label][:shots] for label in np.unique(labels)])
