"""More like this: the mean of what is liked, away from what is not."""

from __future__ import annotations

import numpy as np
import pytest

from vector_assets.errors import UserError
from vector_assets.search.feedback import rocchio

NONE = np.zeros((0, 3), np.float32)
X, Y, Z = np.eye(3, dtype=np.float32)


def test_the_question_counts_as_one_more_liked_row() -> None:
    assert np.allclose(rocchio(X, NONE, NONE), X)
    found = rocchio(X, np.stack([Y, Y]), NONE)  # (x + y + y) / 3, scaled
    assert np.allclose(found, np.array([1, 2, 0]) / np.sqrt(5))
    assert np.allclose(rocchio(None, np.stack([X, Z]), NONE), np.array([1, 0, 1]) / np.sqrt(2))


def test_a_share_of_the_disliked_mean_is_taken_away() -> None:
    found = rocchio(X, NONE, np.stack([Y, Z]), away=0.5)  # x - 0.5 * (y + z) / 2
    wanted = np.array([1, -0.25, -0.25])
    assert np.allclose(found, wanted / np.linalg.norm(wanted))
    assert np.allclose(rocchio(None, NONE, Y[None]), -Y), "nothing but a dislike asks for its opposite"


def test_length_does_not_count_and_nothing_left_is_refused() -> None:
    assert np.allclose(rocchio(None, np.stack([X * 9, Y]), NONE), np.array([1, 1, 0]) / np.sqrt(2))
    with pytest.raises(UserError, match="cancel each other out"):
        rocchio(None, X[None], X[None], away=1.0)
