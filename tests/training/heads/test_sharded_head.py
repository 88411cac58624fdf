"""A head over processes: the numbers of one process, and what happens when one of them is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from vector_assets.errors import RuntimeFault
from vector_assets.training.heads import Head, SplitHead, processes, random_weights, worker
from vector_assets.training.heads.collective import slices
from vector_assets.training.heads.processes import Workers, workers
from vector_assets.training.heads.shard import Part, Scores
from vector_assets.training.objectives.arcface import arcface_scores
from vector_assets.training.objectives.classification import linear_scores
from vector_assets.training.optimizing import Optimizer

DIMS = 12


def _batch(classes: int, seed: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    vectors = torch.nn.functional.normalize(torch.from_numpy(rng.normal(size=(size, DIMS)).astype(np.float32)), dim=1)
    return vectors.requires_grad_(), torch.from_numpy(rng.integers(0, classes, size))


def _weights(scores: Scores, classes: int) -> tuple[np.ndarray, np.ndarray | None]:
    bias = random_weights(slice(0, classes), 1, seed=6)[:, 0] * 30 if scores is linear_scores else None
    return random_weights(slice(0, classes), DIMS, seed=5) * 30, bias


def _gone(pid: int, *, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_classes_are_split_evenly() -> None:
    assert slices(200_000, 2) == [slice(0, 100_000), slice(100_000, 200_000)]
    for count, parts in ((7, 3), (64, 64), (200_000, 7), (2, 5)):
        found = slices(count, parts)
        lengths = [one.stop - one.start for one in found]
        assert sum(lengths) == count and max(lengths) - min(lengths) <= 1 and lengths == sorted(lengths, reverse=True)
        assert [one.start for one in found[1:]] == [one.stop for one in found[:-1]]


@pytest.mark.parametrize("scores", [arcface_scores, linear_scores])
@pytest.mark.usefixtures("pair")
def test_loss_and_gradients_are_those_of_one_process(scores: Scores) -> None:
    classes = 31
    weight, bias = _weights(scores, classes)
    whole, split = Head(weight, bias, scores=scores), SplitHead(weight, bias, scores=scores, processes=2)
    with split.learning():
        both = Optimizer([], whole, rate=1e-3), Optimizer([], split, rate=1e-3)
        for step, size in enumerate((9, 1, 16, 5)):  # of one vector a process has none
            ours, numbers = _batch(classes, step, size)
            theirs, _ = _batch(classes, step, size)
            for optimizer in both:
                optimizer.zero_grad()
            wanted, found = whole.loss(theirs, numbers), split.loss(ours, numbers)
            assert abs(float(wanted.detach()) - float(found.detach())) < 1e-5
            wanted.backward()
            found.backward()
            assert ours.grad is not None and theirs.grad is not None
            assert torch.allclose(ours.grad, theirs.grad, atol=1e-5, rtol=0)
            gradients = split.gradients()
            assert gradients.pop("classes").tolist() == list(range(classes))
            for one, parameter in zip(gradients.values(), whole.parameters(), strict=True):
                assert parameter.grad is not None
                assert torch.allclose(one, parameter.grad, atol=1e-5, rtol=0)
            for optimizer in both:
                optimizer.step(1e-3)
            # Adam's first steps are signs: where a gradient is about 0 its last bit decides. So go on from one state.
            assert all(torch.allclose(a, b, atol=1e-3) for a, b in _pairs(whole, split))
            split.restore(whole.state())
        vectors = _batch(classes, 9, 200)[0].detach().numpy()
        assert split.predict(vectors).tolist() == whole.predict(vectors).tolist()
        saved = both[1].state_dict()
        assert saved["head"]["first_0"].shape == weight.shape and int(saved["head"]["steps"]) == 4
        both[1].load_state_dict(saved)
        assert all(one.equal(saved["head"][name]) for name, one in split.moments().items())
    assert all(torch.allclose(a, b) for a, b in _pairs(whole, split))


def _pairs(one: Head, other: Head) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return [(value, other.state()[name]) for name, value in one.state().items()]


def test_each_process_draws_from_its_own_classes_and_a_lost_one_ends_it_with_one_line() -> None:
    weight, _ = _weights(arcface_scores, 101)
    split = SplitHead(weight, scores=arcface_scores, processes=2, sample=0.2, seed=2)
    pids: list[int] = []

    def lose_one() -> None:
        with split.learning():
            workers = split._shards
            assert isinstance(workers, Workers)
            pids.extend(workers.pids)
            vectors, numbers = _batch(101, 0, 8)
            seen = []
            for _ in range(2):
                loss = split.loss(vectors, numbers)
                loss.backward()
                taken = split.gradients()["classes"]
                seen.append(taken.tolist())
                assert int((taken < 51).sum()) == int((taken >= 51).sum()) == 10  # a fifth of 51, and of 50
                assert set(numbers.tolist()) <= set(taken.tolist())
                places = torch.searchsorted(taken, numbers)
                chosen = split.state()["weight"][taken]
                wanted = torch.nn.functional.cross_entropy(arcface_scores(vectors, places, chosen), places)
                assert float(loss.detach()) == pytest.approx(float(wanted.detach()), abs=1e-5)
                split.step(1e-3, 1.0)
            assert seen[0] != seen[1]
            os.kill(pids[1], signal.SIGKILL)
            split.loss(vectors, numbers)

    started = time.monotonic()
    with pytest.raises(RuntimeFault) as found:
        lose_one()
    message = str(found.value)
    assert "process 2 of 2 that hold the head" in message and "SIGKILL" in message and "\n" not in message
    assert str(pids[1]) in message
    assert all(_gone(pid) for pid in pids)
    assert time.monotonic() - started < 120, "not by a timeout"


def test_a_process_that_stops_answering_ends_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "PATIENCE", 1.5)
    with (
        pytest.raises(RuntimeFault, match=r"process [12] of 2 .* gave no answer to begin for 2 s"),
        workers(2) as found,
    ):
        pids = found.pids
        os.kill(pids[0], signal.SIGSTOP)
        found.begin([Part(9, rank, 2) for rank in range(2)], arcface_scores)
    assert all(_gone(pid) for pid in pids)


def test_an_error_in_a_process_is_told_in_one_line() -> None:
    here, there = Pipe()
    here.send(("begin", (Part(9), f"{arcface_scores.__module__}:arcface_scores", {})))
    here.send(("place", ({"weight": np.ones((9, 4), np.float32)},)))
    here.send(("loss", (np.ones((2, 5), np.float32), np.array([0, 1]), 2)))
    worker.answer(there, {"threads": 1, "size": 1})  # it ends after an error
    assert here.recv() == here.recv() == (True, None)
    done, text = here.recv()
    assert not done and text.startswith("RuntimeError: mat1 and mat2 shapes") and "\n" not in text


def test_they_end_with_the_process_that_started_them() -> None:
    """The parent is killed while they have nothing to do, and while they wait for each other."""
    code = """
import sys, time, numpy as np, torch
from vector_assets.training.heads import SplitHead
from vector_assets.training.objectives.arcface import arcface_scores
head = SplitHead(np.eye(6, dtype=np.float32), scores=arcface_scores, processes=2)
with head.learning():
    head.loss(torch.eye(6), torch.arange(6)).backward()
    # one of them is asked alone, so it waits for the other
    head._shards._connections[0].send(("step", (0.1, 1.0, 1.0)))
    print(*head._shards.pids, flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(Path(processes.__file__).parents[3])}
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2 and not any(_gone(pid, seconds=0.2) for pid in pids)
        parent.send_signal(signal.SIGKILL)
        assert all(_gone(pid) for pid in pids)
