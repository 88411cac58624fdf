"""Maximal marginal relevance, against a computation by hand."""

from __future__ import annotations

import numpy as np

from vector_assets.search.diverse import diversified, on_one_scale

# Three rows: the second nearly repeats the first, the third is another thing and scores less.
VECTORS = np.array([[1.0, 0.0], [0.96, 0.28], [0.0, 1.0]], np.float32)
SCORES = np.array([0.9, 0.85, 0.4])


def test_by_hand() -> None:
    # first: the best score. Then, at 0.5: row 1 is worth 0.5*0.85 - 0.5*0.96 = -0.055, row 2 0.5*0.4 - 0.5*0 = 0.2.
    assert diversified(SCORES, VECTORS, diverse=0.5, k=2) == [0, 2]
    # at 0.2: row 1 is worth 0.8*0.85 - 0.2*0.96 = 0.488, row 2 0.8*0.4 - 0 = 0.32; then row 2 is all that is left.
    assert diversified(SCORES, VECTORS, diverse=0.2, k=3) == [0, 1, 2]
    # the border lies where 0.85 - d*(0.85 + 0.96) = 0.4 - d*0.4, at d = 0.45 / 1.41 = 0.3191.
    assert diversified(SCORES, VECTORS, diverse=0.31, k=2) == [0, 1]
    assert diversified(SCORES, VECTORS, diverse=0.33, k=2) == [0, 2]


def test_the_ends_of_the_scale() -> None:
    generator = np.random.default_rng(1)
    vectors = generator.standard_normal((60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = np.sort(generator.random(60))[::-1]
    assert diversified(scores, vectors, diverse=0, k=60) == list(range(60))
    chosen = diversified(scores, vectors, diverse=1, k=12)
    assert chosen[0] == 0 and len(set(chosen)) == 12
    within = (vectors[chosen] @ vectors[chosen].T)[np.triu_indices(12, 1)]
    first = (vectors[:12] @ vectors[:12].T)[np.triu_indices(12, 1)]
    assert within.mean() < first.mean()


def test_fewer_candidates_than_asked_and_none_at_all() -> None:
    assert diversified(SCORES, VECTORS, diverse=0.5, k=9) == [0, 2, 1]
    assert diversified(SCORES[:0], VECTORS[:0], diverse=0.5, k=9) == []


def test_scores_of_any_kind_come_on_one_scale() -> None:
    assert on_one_scale(np.array([12.0, 7.0, 2.0])).tolist() == [1.0, 0.5, 0.0]
    assert on_one_scale(np.array([3.0, 3.0])).tolist() == [1.0, 1.0]
    assert on_one_scale(np.array([])).tolist() == []
