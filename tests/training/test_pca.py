"""Principal components of vectors, streamed: values by hand, and those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA, TruncatedSVD

from vector_assets.training.pca import Moments


def test_directions_and_shares_by_hand() -> None:
    """Along (3, 4)/5 rows lie at 1 and -1, across it at 1/2 and -1/2: the mean is 0 and the variances are 1 and 1/4."""
    along, across = np.array([0.6, 0.8]), np.array([-0.8, 0.6])
    rows = np.array([along, -along, across / 2, -across / 2], np.float32)
    moments = Moments(2)
    for row in rows:  # one by one, as batches come
        moments.add(row[None])
    found = moments.components(1)
    assert found.weight.dtype == np.float32
    assert found.weight == pytest.approx(np.array([[0.6, 0.8]]), abs=1e-6)
    assert found.explained == pytest.approx(np.array([0.8, 1.0]))  # 1 / (1 + 1/4)
    # Of the own dims: x has (.36 + .16) / 4 * 2, y (.64 + .09) / 4 * 2 of 1.25 / 2.
    assert found.cut == pytest.approx(np.array([(0.36 + 0.16) / 1.25, 1.0]))
    assert moments.components(2).weight == pytest.approx(
        np.array([[0.6, 0.8], [0.8, -0.6]]), abs=1e-6
    )  # either sign is one


def test_the_mean_is_a_direction_and_no_variance() -> None:
    """All rows have 2 on the first axis: it comes first, for products are from zero, and it explains nothing."""
    rows = np.array([[2, 1, 0], [2, -1, 0], [2, 0, 0.5], [2, 0, -0.5]], np.float32)
    moments = Moments(3)
    moments.add(rows)
    found = moments.components(2)
    assert found.weight == pytest.approx(np.array([[1, 0, 0], [0, 1, 0]]), abs=1e-6)
    assert found.explained == pytest.approx(np.array([0, 0.8, 1.0]))


def test_what_scikit_learn_finds() -> None:
    generator = np.random.default_rng(0)
    rows = (generator.standard_normal((300, 12)) * np.linspace(3, 0.2, 12)).astype(np.float32)
    moments = Moments(12)
    for start in range(0, 300, 70):
        moments.add(rows[start : start + 70])
    found = moments.components(4)
    known = TruncatedSVD(4, algorithm="arpack", random_state=0).fit(rows.astype(np.float64))
    assert np.abs(found.weight @ known.components_.T) == pytest.approx(np.eye(4), abs=1e-5)
    around = rows - rows.mean(axis=0)
    centred = Moments(12)
    centred.add(around)
    other = PCA(4, random_state=0).fit(around)
    assert centred.components(4).explained[:4] == pytest.approx(np.cumsum(other.explained_variance_ratio_), abs=1e-5)


def test_products_are_kept_better_than_by_any_other_dims() -> None:
    generator = np.random.default_rng(1)
    rows = generator.standard_normal((200, 10)) @ generator.standard_normal((10, 10))
    moments = Moments(10)
    moments.add(rows.astype(np.float32))
    weight = moments.components(4).weight
    lost = [
        float(np.square(rows @ rows.T - (rows @ other.T) @ (rows @ other.T).T).sum())
        for other in (weight, np.eye(10)[:4], np.linalg.qr(generator.standard_normal((10, 4)))[0].T)
    ]
    assert lost[0] == min(lost)


def test_fewer_rows_than_dims_are_refused() -> None:
    moments = Moments(5)
    moments.add(np.eye(5, dtype=np.float32)[:3])
    with pytest.raises(ValueError, match="3 rows span no 4 directions"):
        moments.components(4)
