"""ArcFace's margin: its values against numpy in float64, and the gradient that is declared against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from vector_assets.training.objectives.arcface import MARGIN, SCALE, arcface_scores, margin_scores


def _published(cosines: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """s cos(theta + m) for the own class, and cos(theta) - m sin(m) where theta + m is beyond pi."""
    cosines = np.clip(cosines.astype(np.float64), -1, 1)
    found = cosines.copy()
    for row, own in enumerate(classes):
        theta = np.arccos(cosines[row, own])
        beyond = cosines[row, own] - MARGIN * np.sin(MARGIN)
        found[row, own] = np.cos(theta + MARGIN) if theta + MARGIN < np.pi else beyond
    return SCALE * found


def _unit(rows: int, dims: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, dims)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_scores_of_float32_are_the_formula_in_float64() -> None:
    """Relative to the scale: a float32 of 64 has steps of 4e-6 itself."""
    near = np.linspace(-1, 1, 4001, dtype=np.float32)
    ends = np.array([np.nextafter(np.float32(1), np.float32(0)), 1.0, -1.0, -0.99999994, 1.0000001, -1.0000001])
    cosines = np.concatenate([near, ends.astype(np.float32)])[:, None].repeat(3, axis=1)
    classes = np.arange(len(cosines)) % 3
    found = margin_scores(torch.from_numpy(cosines), torch.from_numpy(classes)).numpy()
    apart = np.abs(found - _published(cosines, classes)) / SCALE
    threshold = np.abs(np.arccos(np.clip(cosines.astype(np.float64), -1, 1)) + MARGIN - np.pi) < 1e-6
    assert apart[~threshold].max() < 1e-6


def test_scores_of_vectors_are_the_formula_whatever_the_length_of_a_centre() -> None:
    vectors, weight = _unit(32, 16, 0), _unit(50, 16, 1) * np.linspace(0.01, 9, 50, dtype=np.float32)[:, None]
    weight[3] = vectors[3] * 2  # theta 0
    weight[4] = -vectors[4]  # theta pi
    classes = np.arange(32)
    found = arcface_scores(torch.from_numpy(vectors), torch.from_numpy(classes), torch.from_numpy(weight)).numpy()
    lengths = np.linalg.norm(weight.astype(np.float64), axis=1)
    wanted = _published(vectors.astype(np.float64) @ (weight / lengths[:, None]).T, classes)
    own = np.eye(32, 50, dtype=bool)
    assert np.abs(found - wanted)[~own].max() / SCALE < 1e-6
    # The angle of a cosine near 1 is not known better than the root of float32's step.
    angles = np.abs(found - wanted)[own] / SCALE
    assert np.delete(angles, 3).max() < 1e-5 and angles[3] < 5e-4
    assert np.isfinite(found).all()


def test_beyond_pi_the_own_score_goes_on_falling() -> None:
    theta = torch.linspace(math.pi - MARGIN - 0.2, math.pi, 200, dtype=torch.float64)
    own = margin_scores(torch.cos(theta)[:, None], torch.zeros(200, dtype=torch.int64))[:, 0] / SCALE
    assert bool((own.diff() < 0).all())
    assert float(own[-1]) == pytest.approx(-1 - MARGIN * math.sin(MARGIN))
    rising = torch.cos(theta + MARGIN)  # what insightface's arccos form gives
    assert bool((rising.diff() > 0).any())


def test_the_gradient_is_that_of_the_score_with_the_margin_held_fast() -> None:
    """Finite differences of cross entropy over s (cos + c), c the change of the own cosine at this point."""
    generator = torch.Generator().manual_seed(0)
    cosines = (torch.rand(6, 9, generator=generator, dtype=torch.float64) * 2 - 1) * 0.99
    classes = torch.tensor([0, 3, 8, 1, 1, 5])
    cosines[4, 1] = -0.97  # theta + m is beyond pi
    change = margin_scores(cosines, classes) / SCALE - cosines

    def declared(at: torch.Tensor) -> float:
        return float(torch.nn.functional.cross_entropy(SCALE * (at + change), classes))

    leaf = cosines.clone().requires_grad_()
    torch.nn.functional.cross_entropy(margin_scores(leaf, classes), classes).backward()
    assert leaf.grad is not None
    step = 1e-6
    for row in range(6):
        for column in range(9):
            aside = torch.zeros_like(cosines)
            aside[row, column] = step
            wanted = (declared(cosines + aside) - declared(cosines - aside)) / (2 * step)
            assert float(leaf.grad[row, column]) == pytest.approx(wanted, abs=1e-5)
    # The formula's own gradient is another one: a factor of sin(theta + m) / sin(theta).
    row, own = 0, 0
    theta = math.acos(float(cosines[row, own]))
    factor = math.sin(theta + MARGIN) / math.sin(theta)
    assert abs(factor - 1) > 0.01


def test_vectors_whose_class_is_elsewhere_have_no_margin() -> None:
    cosines = torch.tensor([[0.2, 0.4], [0.1, 0.9]])
    found = margin_scores(cosines, torch.tensor([-1, 1]))
    assert found[0].tolist() == pytest.approx([12.8, 25.6])
    assert float(found[1, 0]) == pytest.approx(6.4)
    assert float(found[1, 1]) == pytest.approx(64 * math.cos(math.acos(0.9) + 0.5), abs=1e-4)
