"""Partial FC in one process: what is drawn, what it costs, what it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vector_assets.errors import SpecError
from vector_assets.spec import ClassHead
from vector_assets.training.heads import Head, SplitHead, make_head, random_weights
from vector_assets.training.heads.collective import Alone
from vector_assets.training.heads.shard import Part, Scores, Shard
from vector_assets.training.objectives.arcface import arcface_scores
from vector_assets.training.objectives.classification import linear_scores
from vector_assets.training.optimizing import Optimizer

CLASSES, DIMS = 200, 12


def _batch(seed: int = 0, size: int = 16, classes: int = CLASSES) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    vectors = torch.from_numpy(rng.normal(size=(size, DIMS)).astype(np.float32))
    return torch.nn.functional.normalize(vectors, dim=1), torch.from_numpy(rng.integers(0, classes, size))


def _weights(scores: Scores) -> tuple[np.ndarray, np.ndarray | None]:
    weight = random_weights(slice(0, CLASSES), DIMS, seed=5) * 30
    return weight, random_weights(slice(0, CLASSES), 1, seed=6)[:, 0] * 30 if scores is linear_scores else None


@pytest.mark.parametrize("scores", [arcface_scores, linear_scores])
def test_a_sample_of_all_is_the_full_head(scores: Scores) -> None:
    weight, bias = _weights(scores)
    whole = make_head(weight, bias, ClassHead(), scores=scores, seed=0)
    assert type(whole) is Head and type(make_head(weight, bias, ClassHead(sample=1.0), scores=scores, seed=0)) is Head
    split = SplitHead(weight, bias, scores=scores, sample=1.0)
    with split.learning():
        for head in (whole, split):
            optimizer = Optimizer([], head, rate=1e-3)
            losses = []
            for step in range(5):
                vectors, classes = _batch(step)
                vectors.requires_grad_()
                optimizer.zero_grad()
                loss = head.loss(vectors, classes)
                loss.backward()
                optimizer.step(1e-3)
                losses.append((float(loss.detach()), vectors.grad))
            if head is whole:
                wanted = losses
        for (loss, gradient), (loss_2, gradient_2) in zip(wanted, losses, strict=True):
            assert loss == pytest.approx(loss_2, abs=1e-5) and torch.allclose(gradient, gradient_2, atol=1e-5)
        vectors = _batch(9, size=300)[0].numpy()
        assert split.predict(vectors).tolist() == whole.predict(vectors).tolist()
    for name, one in whole.state().items():
        assert torch.allclose(one, split.state()[name], atol=1e-4)
    assert split.predict(vectors).tolist() == whole.predict(vectors).tolist()


@pytest.mark.parametrize("scores", [arcface_scores, linear_scores])
def test_loss_and_gradients_are_those_of_the_classes_that_take_part(scores: Scores) -> None:
    weight, bias = _weights(scores)
    head = SplitHead(weight, bias, scores=scores, sample=0.25, seed=3)
    vectors, classes = _batch()
    ours, theirs = vectors.clone().requires_grad_(), vectors.clone().requires_grad_()
    with head.learning():
        loss = head.loss(ours, classes)
        (3 * loss).backward()
        found = head.gradients()
        taken = found.pop("classes")
        leaves = [torch.from_numpy(one)[taken].requires_grad_() for one in (weight, bias) if one is not None]
        wanted = torch.nn.functional.cross_entropy(
            scores(theirs, torch.searchsorted(taken, classes), *leaves, *[None] * (2 - len(leaves))),
            torch.searchsorted(taken, classes),
        )
        (3 * wanted).backward()
        assert float(loss.detach()) == pytest.approx(float(wanted.detach()), abs=1e-5)
        assert ours.grad is not None and theirs.grad is not None
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-5)
        for gradient, leaf in zip(found.values(), leaves, strict=True):
            assert leaf.grad is not None
            assert torch.allclose(3 * gradient, leaf.grad, atol=1e-5)
        # one step, with the norm cut over weight and bias together, is torch's over these rows
        torch.nn.utils.clip_grad_norm_(leaves, 0.5)
        torch.optim.AdamW(leaves, lr=0.01, weight_decay=0.01).step()
        head.step(0.01, 0.5)
        assert leaves[0].grad is not None
        assert torch.allclose(head.moments()["first_0"][taken], 0.1 * leaves[0].grad, rtol=1e-3, atol=1e-7)
        for one, leaf in zip(head.state().values(), leaves, strict=True):
            assert torch.allclose(one[taken], leaf.detach(), atol=1e-5)


def test_the_batchs_own_classes_and_others_up_to_the_rate() -> None:
    weight, _ = _weights(arcface_scores)
    head = SplitHead(weight, scores=arcface_scores, sample=0.2, seed=1)
    times = np.zeros(CLASSES)
    with head.learning():
        vectors, classes = _batch(size=8)
        for _ in range(300):
            head.loss(vectors, classes).backward()
            taken = head.gradients()["classes"].numpy()
            assert len(taken) == 40 and (np.diff(taken) > 0).all()
            assert set(classes.tolist()) <= set(taken.tolist())
            times[taken] += 1
            head.step(1e-4, 1.0)
        own = sorted(set(classes.tolist()))
        others = np.delete(times, own)
        assert (times[own] == 300).all()
        share = (40 - len(own)) / (CLASSES - len(own))
        deviation = np.sqrt(300 * share * (1 - share))
        assert np.abs(others - 300 * share).max() < 5 * deviation, "each other class as often as the next"
        # more own classes than the rate allows: all of them, and no others
        vectors, classes = _batch(size=120)
        head.loss(vectors, classes).backward()
        assert head.gradients()["classes"].tolist() == sorted(set(classes.tolist()))


def test_classes_that_are_not_drawn_keep_weights_and_moments_bit_for_bit() -> None:
    weight, bias = _weights(linear_scores)
    head = SplitHead(weight, bias, scores=linear_scores, sample=0.3, seed=1)
    with head.learning():
        for step in range(4):
            before = {**head.state(), **head.moments()}
            head.loss(*_batch(step)).backward()
            taken = head.gradients()["classes"]
            head.step(0.05, 1.0)
            left = torch.ones(CLASSES, dtype=torch.bool)
            left[taken] = False
            after = {**head.state(), **head.moments()}
            assert int(after.pop("steps")) == step + 1
            assert len(after) == 7 and int(left.sum()) == 140
            for name, one in after.items():
                assert one[left].equal(before[name][left]), name
                assert not one[taken].equal(before[name][taken]), name


def test_the_seed_decides_what_is_drawn_and_a_restored_head_goes_on_with_it() -> None:
    weight, _ = _weights(arcface_scores)

    def run(seed: int, steps: int, resume_at: int | None = None) -> list[object]:
        head = SplitHead(weight, scores=arcface_scores, sample=0.1, seed=seed)
        seen: list[object] = []
        saved: tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]] | None = None
        with head.learning():
            for step in range(resume_at or steps):
                seen.append(_one(head, step))
            saved = head.state(), head.moments()
        if resume_at is not None:
            again = SplitHead(weight, scores=arcface_scores, sample=0.1, seed=seed)
            with again.learning():
                again.restore(saved[0])
                again.restore_moments(saved[1])
                seen += [_one(again, step) for step in range(resume_at, steps)]
            head = again
        return [*seen, head.state()["weight"].tolist()]

    def _one(head: SplitHead, step: int) -> object:
        loss = head.loss(*_batch(step))
        loss.backward()
        taken = head.gradients()["classes"].tolist()
        head.step(0.01, 1.0)
        return float(loss.detach()), taken

    undisturbed = run(0, 8)
    assert run(0, 8) == undisturbed == run(0, 8, resume_at=3)
    assert run(1, 8) != undisturbed


def test_random_weights_are_the_same_whichever_slice_is_drawn() -> None:
    whole = random_weights(slice(0, 5000), 8, seed=4)
    for start, stop in ((0, 1), (1000, 1030), (1024, 2048), (2047, 5000)):
        assert random_weights(slice(start, stop), 8, seed=4).tobytes() == whole[start:stop].tobytes()
    assert whole.std() == pytest.approx(0.01, rel=0.02) and abs(whole.mean()) < 2e-4
    assert not (random_weights(slice(0, 9), 8, seed=5) == whole[:9]).any()
    assert len({row.tobytes() for row in whole}) == 5000, "no two classes begin alike"


def test_more_processes_than_labels_are_refused() -> None:
    with pytest.raises(SpecError, match=r"train\.head\.processes: found 4, but there are 3 labels"):
        make_head(np.ones((3, 2), np.float32), None, ClassHead(processes=4), scores=arcface_scores, seed=0)
    one_each = make_head(np.ones((3, 2), np.float32), None, ClassHead(processes=3), scores=arcface_scores, seed=0)
    assert isinstance(one_each, SplitHead)


def test_of_a_small_slice_at_least_one_class_takes_part() -> None:
    shard = Shard(Part(5, sample=0.1), linear_scores, Alone())
    vectors, elsewhere = _batch(size=4)[0].numpy(), np.full(4, -1)
    shard.place({"weight": random_weights(slice(0, 5), DIMS, seed=5)})
    shard.loss(vectors, elsewhere, 4)
    assert len(shard.gradients()["classes"]) == 1
