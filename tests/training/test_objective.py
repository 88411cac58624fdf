"""The contrastive objective: batches without false negatives, and the loss by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.records import Pair
from vector_assets.training.objectives import Contrastive, Seen


def _pairs(items: list[tuple[int, int]]) -> list[Pair]:
    return [Pair(f"q{query}", f"d{document}", "g", "train") for query, document in items]


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=90, unique=True), st.integers(2, 9))
def test_no_batch_holds_a_query_or_document_twice(items: list[tuple[int, int]], size: int) -> None:
    pairs = _pairs(items)
    batches = Contrastive().batches(pairs, [1] * len(pairs), size=size, generator=np.random.default_rng(0))
    used = [place for batch in batches for place in batch]
    assert len(used) == len(set(used))
    for batch in batches:
        assert 2 <= len(batch) <= size
        assert (
            len({pairs[place].query for place in batch})
            == len({pairs[place].document for place in batch})
            == len(batch)
        )


def test_pairs_that_clash_with_nothing_are_all_used_in_full_batches_of_like_length() -> None:
    pairs = _pairs([(n, n) for n in range(640)])
    lengths = np.random.default_rng(1).integers(5, 128, 640).tolist()
    batches = Contrastive().batches(pairs, lengths, size=32, generator=np.random.default_rng(0))
    assert sorted(place for batch in batches for place in batch) == list(range(640))
    assert {len(batch) for batch in batches} == {32}
    padded = sum(32 * max(lengths[place] for place in batch) for batch in batches)
    assert padded < 1.12 * sum(lengths)
    again = Contrastive().batches(pairs, lengths, size=32, generator=np.random.default_rng(0))
    other = Contrastive().batches(pairs, lengths, size=32, generator=np.random.default_rng(1))
    assert again == batches != other


def test_the_loss_by_hand() -> None:
    import torch

    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    documents = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    found = float(Contrastive().loss(Seen(documents, queries)))
    # both documents look alike, so each query picks its own with probability one half
    assert found == pytest.approx(np.log(2), abs=1e-6)
    assert float(Contrastive().loss(Seen(queries, queries))) == pytest.approx(np.log1p(np.exp(-20.0)), abs=1e-6)


def test_weighted_pairs_count_by_their_weight_in_the_mean() -> None:
    import torch

    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    documents = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    both, first = torch.tensor([1.0, 1.0]), torch.tensor([3.0, 1.0])
    alike = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    each = [np.log1p(np.exp(20 * 0.6 - 20)), np.log1p(np.exp(0 - 20 * 0.8))]
    assert float(Contrastive().loss(Seen(alike, queries, weights=first))) == pytest.approx(
        (3 * each[0] + each[1]) / 4, abs=1e-6
    )
    for found in (documents, alike):
        plain = float(Contrastive().loss(Seen(found, queries)))
        assert float(Contrastive().loss(Seen(found, queries, weights=both))) == pytest.approx(plain, abs=1e-6)
