"""Partial FC against the full head: seconds of a step at many classes, and what is learned in as many steps.

Speed: ArcFace's head alone, over random unit vectors: scores, loss, gradients, AdamW. Arms take turns, step by step:
`full` is the plain head as training uses it by default, `full_in_shard` the sampled head's own code with all classes
(so that what is gained by drawing is told from what is gained by the code), `sampled` draws.

Quality: identification of classes that were never learned. A class is a point in a small space; an example is that
point with noise, mixed through a fixed random network with stronger noise that has nothing to do with the class. A
small network learns from some classes, and is asked about others: verification AUC over all pairs, and rank-1 with one
example of each class in the gallery. Arms differ in nothing but the head; softmax without a margin is the control. With
--warm-classes the network has learned from as many other classes before, as an encoder that is fine-tuned has, and the
centres start at their classes' means: with 200,000 classes some hundred steps from nothing teach nothing.

    OMP_NUM_THREADS=1 python benchmarks/sampled_head.py --json sampled.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vector_assets.training.heads import Head, SplitHead, random_weights
from vector_assets.training.objectives.arcface import arcface_scores
from vector_assets.training.objectives.classification import linear_scores
from vector_assets.training.optimizing import Optimizer

Weights = np.ndarray[Any, Any]

HIDDEN, NOISE, SEEN_DIMS, DIMS = 12, 24, 64, 64
PER_CLASS, UNSEEN = 6, 250


def step(head: Head, optimizer: Optimizer, vectors: torch.Tensor, classes: torch.Tensor, rate: float) -> float:
    """Take one step and return the loss before it."""
    optimizer.zero_grad()
    loss = head.loss(vectors, classes)
    loss.backward()
    optimizer.step(rate)
    return float(loss.detach())


def measure_speed(classes: int, dims: int, batch: int, sample: float, rounds: int) -> dict[str, Any]:
    """Return the median seconds of a step of each arm, and how many times faster the sampled one is."""
    weight = random_weights(slice(0, classes), dims, seed=0)
    arms: dict[str, Head] = {
        "full": Head(weight, scores=arcface_scores),
        "full_in_shard": SplitHead(weight, scores=arcface_scores),
        "sampled": SplitHead(weight, scores=arcface_scores, sample=sample),
    }
    generator = torch.Generator().manual_seed(0)
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    with arms["full_in_shard"].learning(), arms["sampled"].learning():
        optimizers = {name: Optimizer([], head, rate=1e-4) for name, head in arms.items()}
        for turn in range(rounds + 1):
            vectors = torch.nn.functional.normalize(torch.randn(batch, dims, generator=generator), dim=1)
            numbers = torch.randint(0, classes, (batch,), generator=generator)
            for name, head in arms.items():
                given = vectors.clone().requires_grad_()
                start = time.perf_counter()
                step(head, optimizers[name], given, numbers, 1e-4)
                if turn:  # the first makes the moments
                    seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    return {
        "classes": classes, "dims": dims, "batch": batch, "sample": sample, "rounds": rounds,
        "step_s": {name: round(value, 4) for name, value in medians.items()},
        "spread_s": {name: [round(min(values), 4), round(max(values), 4)] for name, values in seconds.items()},
        "times_faster": round(medians["full"] / medians["sampled"], 2),
        "times_faster_than_full_in_shard": round(medians["full_in_shard"] / medians["sampled"], 2),
    }  # fmt: skip


class World:
    """Examples of classes; the mixing is the same for all of a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.first = self.rng.normal(size=(HIDDEN + NOISE, 128)).astype(np.float32) / 4
        self.second = self.rng.normal(size=(128, SEEN_DIMS)).astype(np.float32) / 8

    def draw(self, classes: int, each: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return examples (classes * each, dims) and their classes."""
        points = self.rng.normal(size=(classes, HIDDEN)).repeat(each, axis=0)
        points += 0.45 * self.rng.normal(size=points.shape)
        other = 1.3 * self.rng.normal(size=(len(points), NOISE))
        mixed = np.tanh(np.concatenate([points, other], axis=1).astype(np.float32) @ self.first) @ self.second
        return torch.from_numpy(mixed), torch.arange(classes).repeat_interleave(each)


def judge(vectors: torch.Tensor, classes: torch.Tensor) -> dict[str, float]:
    """Return verification AUC, rank-1, and the mean angle between two of a class, in degrees."""
    from sklearn.metrics import roc_auc_score

    vectors = torch.nn.functional.normalize(vectors, dim=1)
    cosines = vectors @ vectors.T
    upper = torch.triu(torch.ones_like(cosines, dtype=torch.bool), diagonal=1)
    same = classes[:, None] == classes[None]
    gallery = torch.arange(0, len(classes), PER_CLASS)
    probes = torch.ones(len(classes), dtype=torch.bool)
    probes[gallery] = False
    said = classes[gallery][cosines[probes][:, gallery].argmax(dim=1)]
    angles = torch.rad2deg(torch.acos(cosines[same & upper].clamp(-1, 1)))
    return {
        "auc": float(roc_auc_score(same[upper].numpy(), cosines[upper].numpy())),
        "rank_1": float((said == classes[probes]).float().mean()),
        "angle_within": float(angles.mean()),
    }


def learn(
    make: Callable[[Weights, int], Head], seed: int, classes: int, batch: int, given: argparse.Namespace
) -> dict[str, Any]:
    """Learn from some classes, and judge by others."""
    world = World(seed)
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(SEEN_DIMS, 256), torch.nn.ReLU(), torch.nn.Linear(256, DIMS))
    if given.warm_classes:
        fewer = world.draw(given.warm_classes, PER_CLASS)
        warm = Head(random_weights(slice(0, given.warm_classes), DIMS, seed=seed), scores=arcface_scores)
        teach(network, warm, fewer, given.warm_steps, batch, 1e-3, seed)
    examples, numbers = world.draw(classes, PER_CLASS)
    unseen, theirs = world.draw(UNSEEN, PER_CLASS)
    weight = random_weights(slice(0, classes), DIMS, seed=seed)
    with torch.no_grad():
        before = judge(network(unseen), theirs)
        if given.warm_classes:
            weight = (
                torch.nn.functional.normalize(network(examples), dim=1).view(classes, PER_CLASS, -1).mean(1).numpy()
            )
    start = time.perf_counter()
    losses = teach(network, make(weight, seed), (examples, numbers), given.steps, batch, given.rate, seed)
    seconds = time.perf_counter() - start
    with torch.no_grad():
        found = judge(network(unseen), theirs)
    return {
        **found, "loss": statistics.mean(losses[-50:]), "seconds": round(seconds, 1), "before": before,
        "raw": judge(unseen, theirs),
    }  # fmt: skip


def teach(
    network: torch.nn.Module, head: Head, known: tuple[torch.Tensor, torch.Tensor], steps: int, batch: int,
    rate: float, seed: int,
) -> list[float]:  # fmt: skip
    """Take so many steps, and return the loss of each."""
    examples, numbers = known
    order = torch.Generator().manual_seed(seed)
    losses = []
    with head.learning():
        optimizer = Optimizer(list(network.parameters()), head, rate=rate)
        for number in range(steps):
            chosen = torch.randint(0, len(examples), (batch,), generator=order)
            vectors = torch.nn.functional.normalize(network(examples[chosen]), dim=1)
            share = min((number + 1) / (0.1 * steps), max(0.02, 1 - number / steps))
            losses.append(step(head, optimizer, vectors, numbers[chosen], rate * share))
    return losses


def measure_quality(classes: int, batch: int, given: argparse.Namespace) -> dict[str, Any]:
    """Return what each arm reached per seed, and how far the sampled one is from the full one, in points."""
    arms: dict[str, Callable[[Weights, int], Head]] = {
        "full": lambda weight, seed: Head(weight, scores=arcface_scores),
        "sampled": lambda weight, seed: SplitHead(weight, scores=arcface_scores, sample=given.sample, seed=seed),
    }
    if not given.warm_classes:
        arms["softmax"] = lambda weight, seed: Head(weight, np.zeros(classes, np.float32), scores=linear_scores)
    found = {
        name: [learn(make, seed, classes, batch, given) for seed in range(given.seeds)] for name, make in arms.items()
    }
    mean = {
        name: {key: statistics.mean(run[key] for run in runs) for key in ("auc", "rank_1", "angle_within", "seconds")}
        for name, runs in found.items()
    }
    return {
        "classes": classes, "unseen": UNSEEN, "steps": given.steps, "batch": batch, "sample": given.sample,
        "warm": [given.warm_classes, given.warm_steps], "runs": found, "mean": mean,
        "sampled_minus_full_points": {
            key: [round(100 * (a[key] - b[key]), 2) for a, b in zip(found["sampled"], found["full"], strict=True)]
            for key in ("auc", "rank_1")
        },
    }  # fmt: skip


def main() -> None:
    """Measure, print, and write where it is asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=200_000)
    parser.add_argument("--shapes", nargs="+", default=["128x64", "128x256", "384x64"], help="dims x batch")
    parser.add_argument("--sample", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quality-classes", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--warm-classes", type=int, default=0, help="the network has learned from as many others before"
    )
    parser.add_argument("--warm-steps", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shapes = [tuple(map(int, shape.split("x"))) for shape in given.shapes]
    result = {
        "torch": torch.__version__, "threads": torch.get_num_threads(), "load": os.getloadavg()[0],
        "speed": [measure_speed(given.classes, dims, batch, given.sample, given.rounds) for dims, batch in shapes],
        "quality": measure_quality(given.quality_classes, 128, given) if given.seeds else None,
    }  # fmt: skip
    print(json.dumps(result, indent=1))
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
