"""AdamW by row: what is updated is as torch's; what is not does not change by a bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vector_assets.training.heads.rows import DECAY, RowAdamW


def _tensors(rows: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(rows, 5, generator=generator), torch.randn(rows, generator=generator)]


@pytest.mark.parametrize("all_by_name", [False, True])
def test_with_every_row_it_is_torchs_own(all_by_name: bool) -> None:
    rows = 1500  # more than a block
    ours, theirs = _tensors(rows), [torch.nn.Parameter(one) for one in _tensors(rows)]
    adam, torchs = RowAdamW(ours), torch.optim.AdamW(theirs, lr=0.01, weight_decay=DECAY)
    for step in range(1, 8):
        gradients = _tensors(rows, seed=step)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient.clone()
        torchs.step()
        adam.step(torch.arange(rows) if all_by_name else None, gradients, 0.01)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other.detach(), atol=1e-6)


def test_a_row_left_out_keeps_its_weights_and_moments_bit_for_bit() -> None:
    tensors = _tensors(40)
    adam = RowAdamW(tensors)
    adam.step(None, _tensors(40, seed=1), 0.1)
    before = [one.clone() for one in (*tensors, *adam.state().values())]
    rows = torch.tensor([0, 3, 17, 39])
    adam.step(rows, [one[:4] for one in _tensors(40, seed=2)], 0.1)
    left = torch.ones(40, dtype=torch.bool)
    left[rows] = False
    for one, was in zip((*tensors, *adam.state().values()), before, strict=True):
        assert one[left].equal(was[left])
        assert not bool((one[rows] == was[rows]).any())


def test_a_row_drawn_now_and_then_moves_as_if_there_were_no_other_steps() -> None:
    tensors, alone = _tensors(6), [one[2:3].clone() for one in _tensors(6)]
    adam, single = RowAdamW(tensors), RowAdamW(alone)
    for step in range(12):
        gradients = _tensors(6, seed=step)
        rows = torch.tensor([0, 2, 5] if step % 4 == 1 else [0, 5])
        adam.step(rows, [one[rows] for one in gradients], 0.05)
        if step % 4 == 1:
            single.step(None, [one[2:3] for one in gradients], 0.05)
    for one, other in zip(tensors, alone, strict=True):
        assert torch.allclose(one[2:3], other, atol=1e-6)
    assert adam.state()["updates"].tolist() == [12, 0, 3, 0, 0, 12]


def test_the_state_brings_the_same_steps_back() -> None:
    tensors = _tensors(9)
    adam = RowAdamW(tensors)
    rows = torch.tensor([1, 2, 8])
    adam.step(rows, [one[:3] for one in _tensors(9, seed=1)], 0.1)
    saved = {name: one.clone() for name, one in adam.state().items()}
    again = [one.clone() for one in tensors]
    other = RowAdamW(again)
    other.restore(saved)
    for optimizer in (adam, other):
        optimizer.step(rows, [one[3:6] for one in _tensors(9, seed=2)], 0.1)
    assert all(one.equal(two) for one, two in zip(tensors, again, strict=True))
    assert np.isfinite(tensors[0].numpy()).all()
