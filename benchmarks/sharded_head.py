"""ArcFace's head over processes against one process: the same numbers, and half the memory in each.

Each arm is made of processes of its own that hold nothing but their slice of the classes (an arm of one process too,
so that both are measured alike); this process stands for the encoder's. Steps take turns. Peaks are what the kernel
counts of each process over its whole life (VmHWM): `idle` after its libraries were loaded, `peak` at the end.

    OMP_NUM_THREADS=1 python benchmarks/sharded_head.py --json sharded.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vector_assets.training.heads import Head, random_weights
from vector_assets.training.heads.collective import slices
from vector_assets.training.heads.processes import Workers, workers
from vector_assets.training.heads.shard import Part
from vector_assets.training.objectives.arcface import arcface_scores


class Arm:
    """A head over some processes."""

    def __init__(self, found: Workers, parts: list[Part], dims: int) -> None:
        self.found, self.parts, self.seconds = found, parts, []
        self.idle = found.ask("peak")
        found.ask("place", [({"weight": random_weights(part.held, dims, seed=0)},) for part in parts])

    def loss(self, vectors: np.ndarray[Any, Any], classes: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        """Return the loss, and its gradient by the vectors."""
        cut = slices(len(vectors), len(self.parts))
        answers = self.found.ask("loss", [(vectors[one], classes[one], len(vectors)) for one in cut])
        return answers[0][0], np.concatenate([gradient for _, gradient in answers])

    def step(self, vectors: np.ndarray[Any, Any], classes: np.ndarray[Any, Any]) -> None:
        """Take one step, and time it."""
        start = time.perf_counter()
        self.loss(vectors, classes)
        self.found.ask("step", [(1e-4, 1.0, 1.0)] * len(self.parts))
        self.seconds.append(time.perf_counter() - start)

    def gradient(self) -> np.ndarray[Any, Any]:
        """Return the gradient by the weights."""
        return np.concatenate([one["weight"] for one in self.found.ask("gradients")])


def plain(vectors: np.ndarray[Any, Any], classes: np.ndarray[Any, Any], count: int) -> tuple[float, Any, Any]:
    """Return loss and gradients of the plain head of one process, by torch's own cross entropy."""
    head = Head(random_weights(slice(0, count), vectors.shape[1], seed=0), scores=arcface_scores)
    given = torch.from_numpy(vectors).requires_grad_()
    loss = head.loss(given, torch.from_numpy(classes))
    loss.backward()
    assert given.grad is not None and head.weight.grad is not None
    return float(loss.detach()), given.grad.numpy(), head.weight.grad.numpy()


def measure(count: int, dims: int, batch: int, processes: list[int], rounds: int) -> dict[str, Any]:
    """Return differences, peaks and seconds of each arm."""
    rng = np.random.default_rng(0)

    def draw() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        vectors = rng.standard_normal((batch, dims), np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), rng.integers(0, count, batch)

    with ExitStack() as stack:
        arms = {}
        for number in processes:
            parts = [Part(count, rank, number) for rank in range(number)]
            found = stack.enter_context(workers(number))
            found.begin(parts, arcface_scores)
            arms[number] = Arm(found, parts, dims)
        vectors, classes = draw()
        wanted = plain(vectors, classes, count)
        differences = {}
        for number, arm in arms.items():
            loss, gradient = arm.loss(vectors, classes)
            differences[number] = {
                "loss": abs(loss - wanted[0]),
                "gradient_of_vectors": float(np.abs(gradient - wanted[1]).max()),
                "gradient_of_weights": float(np.abs(arm.gradient() - wanted[2]).max()),
            }
        expected = wanted[0]
        greatest = {"gradient_of_vectors": float(np.abs(wanted[1]).max()),
                    "gradient_of_weights": float(np.abs(wanted[2]).max())}  # fmt: skip
        del wanted
        # The plain head's own rounding is in the above; between the arms there is only what is asked of them here.
        first_loss, first_gradient = arms[processes[0]].loss(vectors, classes)
        first_weights = arms[processes[0]].gradient()
        between = {}
        for number in processes[1:]:
            loss, gradient = arms[number].loss(vectors, classes)
            between[number] = {
                "loss": abs(loss - first_loss),
                "gradient_of_vectors": float(np.abs(gradient - first_gradient).max()),
                "gradient_of_weights": float(np.abs(arms[number].gradient() - first_weights).max()),
            }
        del first_weights
        for _ in range(rounds + 1):
            vectors, classes = draw()
            for arm in arms.values():
                arm.step(vectors, classes)
        peaks = {number: arm.found.ask("peak") for number, arm in arms.items()}
    first = processes[0]
    return {
        "classes": count, "dims": dims, "batch": batch, "rounds": rounds,
        "split": {number: [part.held.stop - part.held.start for part in arm.parts] for number, arm in arms.items()},
        "differences_from_plain": differences, "greatest": {"loss": expected, **greatest},
        "differences_from_first_arm": between,
        "idle_mib": {number: [one >> 20 for one in arm.idle] for number, arm in arms.items()},
        "peak_mib": {number: [one >> 20 for one in found] for number, found in peaks.items()},
        "peak_share": {number: round(max(found) / max(peaks[first]), 3) for number, found in peaks.items()},
        "peak_share_beyond_idle": {
            number: round((max(found) - min(arms[number].idle)) / (max(peaks[first]) - min(arms[first].idle)), 3)
            for number, found in peaks.items()
        },
        "step_s": {number: round(statistics.median(arm.seconds[1:]), 3) for number, arm in arms.items()},
    }  # fmt: skip


def main() -> None:
    """Measure, print, and write where it is asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=200_000)
    parser.add_argument("--dims", type=int, default=384)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.classes, given.dims, given.batch, given.processes, given.rounds)
    result = {"torch": torch.__version__, "threads": torch.get_num_threads(), "load": os.getloadavg()[0], **found}
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
