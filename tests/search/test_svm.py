"""The support vector machine ranks what is like the positives, the same in every process."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from vector_assets.errors import UserError
from vector_assets.records import Vectors
from vector_assets.search.svm import decision_values


def unit(values: object) -> Vectors:
    vectors = np.asarray(values, np.float32)
    found: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return found


def rows(seed: int, count: int, dims: int = 16) -> Vectors:
    return unit(np.random.default_rng(seed).standard_normal((count, dims)))


def test_directions_that_the_table_shares_count_for_nothing() -> None:
    # All rows point along axis 0; what is rare is axis 1, which the exemplar has a little of.
    crowd = rows(1, 300)
    crowd[:, 0] += 3
    crowd[:, 1] = 0
    exemplar = unit([2.0, 0.4, *[0.0] * 14])
    common, rare = unit([1.0, 0.0, *[0.0] * 14]), unit([1.0, 1.0, *[0.0] * 14])
    assert exemplar @ common > exemplar @ rare, "the nearer of the two is the common one"
    values = decision_values(exemplar[None], unit(crowd), np.stack([common, rare]))
    assert values[1] > values[0], "the machine learned that axis 1 is what sets the exemplar apart"


def test_several_positives_are_learned_together() -> None:
    table = rows(3, 400)
    table[:40, 5] += 2  # those that share a direction
    table = unit(table)
    liked = table[:5]
    values = decision_values(liked, table[40:], table)
    best = np.argsort(-values)[:40]
    assert np.mean(best < 40) > 0.9
    falls = decision_values(liked, table[40:], table, disliked=table[39:40])
    assert (falls < falls[39]).sum() < (values < values[39]).sum(), "what is disliked falls"


def test_without_dislikes_it_is_the_machine_of_the_source() -> None:
    from sklearn.svm import LinearSVC

    positives, others = rows(5, 3), rows(6, 200)
    machine = LinearSVC(C=0.1, class_weight="balanced", max_iter=10_000, tol=1e-6, dual="auto")
    machine.fit(np.concatenate([positives, others]), [1] * 3 + [0] * 200)
    assert np.allclose(decision_values(positives, others, others), machine.decision_function(others), atol=1e-5)


def test_equal_input_gives_equal_values_in_another_process() -> None:
    program = (
        "import numpy as np; from vector_assets.search.svm import decision_values;"
        "g = np.random.default_rng(7); x = g.standard_normal((200, 8)).astype(np.float32);"
        "print(decision_values(x[:2], x[2:150], x).tobytes().hex())"
    )
    runs = {
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
        for _ in range(2)
    }
    assert len(runs) == 1


def test_one_side_alone_is_refused_in_one_line() -> None:
    table = rows(4, 10)
    with pytest.raises(UserError, match=r"svm has no negative examples; expected .* at least one other row"):
        decision_values(table[:1], table[:0], table)
    with pytest.raises(UserError, match="svm has no positive examples"):
        decision_values(table[:0], table, table)
