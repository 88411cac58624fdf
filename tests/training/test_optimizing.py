"""The optimiser: AdamW by hand, and how much one batch may move anything."""

from __future__ import annotations

import numpy as np
import pytest

from vector_assets.training.heads import Head, SplitHead
from vector_assets.training.heads.rows import DECAY
from vector_assets.training.objectives.arcface import arcface_scores
from vector_assets.training.optimizing import HEAD_TIMES, Optimizer

RATE = 1e-3
#: The second batch is an outlier; of each gradient no more than a norm of 1 counts.
GRADIENTS = (np.array([0.3, -0.4]), np.array([3000.0, 4000.0]), np.array([0.05, 0.02]))


def adamw(gradients: tuple[np.ndarray, ...], rate: float, start: np.ndarray, *, decay: float) -> np.ndarray:
    """Loshchilov and Hutter 2019, over gradients cut to a norm of 1."""
    value, first, second = start.astype(np.float64), np.zeros(2), np.zeros(2)
    for number, gradient in enumerate(gradients, start=1):
        cut = gradient / max(1.0, float(np.linalg.norm(gradient)))
        first, second = 0.9 * first + 0.1 * cut, 0.999 * second + 0.001 * cut**2
        step = first / (1 - 0.9**number) / (np.sqrt(second / (1 - 0.999**number)) + 1e-8)
        value = value * (1 - rate * decay) - rate * step
    return value


def test_an_outlying_batch_counts_no_more_than_a_norm_of_one_each_group_for_itself() -> None:
    import torch

    start = np.array([0.5, -0.25])
    encoder, mix = (torch.nn.Parameter(torch.tensor(start, dtype=torch.float64)) for _ in range(2))
    optimizer = Optimizer([encoder, mix], None, rate=RATE, quick=[mix])
    for gradient in GRADIENTS:
        optimizer.zero_grad()
        encoder.grad = torch.tensor(gradient)
        mix.grad = torch.tensor(gradient[::-1].copy())
        optimizer.step(RATE)
        for one in (encoder, mix):
            assert one.grad is not None
            assert float(one.grad.norm()) == pytest.approx(min(1.0, float(np.linalg.norm(gradient))), rel=1e-5)
    assert encoder.detach().numpy() == pytest.approx(adamw(GRADIENTS, RATE, start, decay=DECAY), abs=1e-7)
    turned = tuple(gradient[::-1] for gradient in GRADIENTS)
    wanted = adamw(turned, RATE * HEAD_TIMES, start, decay=DECAY)
    assert mix.detach().numpy() == pytest.approx(wanted, abs=1e-6), "weights of a mix learn as fast as a head"


def test_a_head_in_shards_is_cut_as_a_plain_one_is() -> None:
    """ArcFace's scale of 64 makes gradients longer than 1: what is cut is what differs from no cutting at all."""
    import torch

    weight = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    vectors = torch.nn.functional.normalize(torch.from_numpy(np.eye(6, 4, dtype=np.float32) + 0.1), dim=1)
    found, lengths = [], []
    for head in (Head(weight, scores=arcface_scores), SplitHead(weight, scores=arcface_scores)):
        with head.learning():
            optimizer = Optimizer([], head, rate=RATE)
            for batch in ([0, 1, 2, 3, 4, 5], [0, 1, 1, 2], [5, 4]):
                optimizer.zero_grad()
                head.loss(vectors[: len(batch)], torch.tensor(batch)).backward()  # type: ignore[no-untyped-call]
                lengths += [float(one.grad.norm()) for one in head.parameters() if one.grad is not None]
                optimizer.step(RATE)
            found.append(head.state()["weight"].numpy())
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert max(lengths) > 1 and np.abs(found[0] - weight).max() > RATE
