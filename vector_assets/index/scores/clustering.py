"""Clustering: whether mini-batch k-means puts together what has one label (MTEB's protocol)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vector_assets.records import Vectors

MAIN = "v_measure"
BATCH = 500

Scores = dict[str, object]


def clustering_scores(vectors: Vectors, labels: Sequence[str], *, draws: int = 10, seed: int = 0) -> Scores:
    """Return the V-measure of as many clusters as there are labels: its mean over starts, its spread, and each.

    ``vectors`` are (n, dims). The V-measure is the harmonic mean of homogeneity and completeness (Rosenberg and
    Hirschberg 2007).
    """
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.metrics import v_measure_score

    found = []
    for draw in range(draws):
        clusters = MiniBatchKMeans(len(set(labels)), batch_size=BATCH, n_init="auto", random_state=seed + draw)
        found.append(float(v_measure_score(labels, clusters.fit(vectors).labels_)))
    mean = float(np.mean(found))
    return {"v_measure": mean, "v_measure_std": float(np.std(found)), "v_measures": found, "main_score": mean}
