"""The picture of a space: near by cosine is near in it, whatever the lengths of the vectors."""

from __future__ import annotations

import numpy as np
from sklearn.manifold import trustworthiness

from vector_assets.index.map import project


def test_neighbours_by_cosine_are_neighbours_in_the_picture() -> None:
    draw = np.random.default_rng(0)
    centres = draw.standard_normal((6, 32))
    clouds = centres[draw.integers(0, 6, 240)] + 0.5 * draw.standard_normal((240, 32))
    vectors = (clouds * draw.uniform(0.1, 10, (240, 1))).astype(np.float32)
    points = project(vectors)
    assert points.shape == (240, 2) and points.dtype == np.float32
    assert trustworthiness(vectors, points, n_neighbors=10, metric="cosine") > 0.9
    assert trustworthiness(vectors, points, n_neighbors=10, metric="euclidean") < 0.9, "lengths say nothing"
    np.testing.assert_array_equal(project(vectors), points)


def test_vectors_without_a_direction_and_few_vectors_have_a_place() -> None:
    vectors = np.vstack([np.zeros((2, 8)), np.random.default_rng(0).standard_normal((30, 8))]).astype(np.float32)
    assert np.isfinite(project(vectors)).all()
    assert project(vectors[:3]).tolist() == [[0, 0], [1, 0], [2, 0]]
