"""The training loop: until validation stops improving, the best weights kept, the untrained base always an arm."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.records import Pair, RunLog
from vector_assets.spec import Training
from vector_assets.training.network import Network
from vector_assets.training.objectives import OBJECTIVES, Objective
from vector_assets.training.retrieval import Pool, Retrieval, judge, pool_of

if TYPE_CHECKING:
    import torch

#: Returns the token ids of texts: (texts, is_query) -> ids with prefix and cut as the contract says.
Tokenize = Callable[[Sequence[str], bool], list[list[int]]]

WARM_UP_SHARE = 0.1
MAX_NORM = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """One update."""

    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One look at validation; step 0 is the untrained base."""

    step: int
    epoch: float
    metrics: dict[str, float]
    seconds: float

    @property
    def mrr(self) -> float:
        """What the best is chosen by."""
        return self.metrics["mrr@10"]


@dataclass(frozen=True, slots=True)
class History:
    """What happened. ``best_step`` 0 means that training never beat the base."""

    steps: tuple[Step, ...]
    evaluations: tuple[Evaluated, ...]
    best_step: int
    seconds: float

    def at(self, step: int) -> Evaluated:
        """Return the evaluation of a step."""
        return next(found for found in self.evaluations if found.step == step)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is, for a progress bar; ``steps`` is the most there can be."""

    step: int
    steps: int
    loss: float
    best_mrr: float


@dataclass(frozen=True, slots=True)
class _Data:
    pairs: Sequence[Pair]
    queries: list[list[int]]
    documents: list[list[int]]


def score_pool(network: Network, pool: Pool, tokenize: Tokenize) -> Retrieval:
    """Score a model on held-out pairs."""
    queries = network.encode(tokenize([query.text for query in pool.queries], True))
    return judge(pool, queries, network.encode(tokenize(pool.documents, False)))


def fit(
    network: Network,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    training: Training,
    *,
    tokenize: Tokenize,
    log: RunLog,
    progress: Callable[[Progress], None] | None = None,
) -> History:
    """Train in place and leave the network with the best weights that validation saw, the base's among them."""
    import torch

    torch.manual_seed(training.seed)
    generator = np.random.default_rng(training.seed)
    objective = OBJECTIVES[training.objective]()
    most_tokens = training.learn_tokens
    queries = _cut(tokenize([p.query for p in train], True), most_tokens)
    data = _Data(train, queries, _cut(tokenize([p.document for p in train], False), most_tokens))
    pool = pool_of(validation)
    start = time.perf_counter()
    watch = _Watch(network, training.patience, lambda: score_pool(network, pool, tokenize).metrics, log, start)
    watch.look(0, 0.0)

    optimizer = torch.optim.AdamW(network.parameters(), lr=training.learning_rate, weight_decay=0.01)
    lengths = [len(one) for one in data.documents]
    steps: list[Step] = []
    most = 0
    for epoch in range(training.max_epochs):
        batches = objective.batches(train, lengths, size=training.batch_size, generator=generator)
        most = most or len(batches) * training.max_epochs
        looks = _looks(len(batches), training.evaluations_per_epoch)
        for number, batch in enumerate(batches, start=1):
            rate = training.learning_rate * _share(len(steps), most)
            loss = _update(network, objective, data, batch, optimizer, rate)
            steps.append(Step(len(steps) + 1, loss, rate))
            log.metrics({"train/loss": loss, "train/learning_rate": rate}, step=len(steps))
            if number in looks:
                watch.look(len(steps), epoch + number / len(batches))
            if progress:
                progress(Progress(len(steps), max(most, len(steps)), loss, watch.best.mrr))
            if watch.is_over:
                break
        if watch.is_over:
            break
    network.restore(watch.weights)
    return History(tuple(steps), tuple(watch.seen), watch.best.step, time.perf_counter() - start)


class _Watch:
    """Remembers the best weights, and counts looks without improvement."""

    def __init__(
        self, network: Network, patience: int, evaluate: Callable[[], dict[str, float]], log: RunLog, start: float
    ) -> None:
        self._network, self._patience, self._evaluate, self._log, self._start = network, patience, evaluate, log, start
        self._since = 0
        self.seen: list[Evaluated] = []
        self.weights: dict[str, torch.Tensor] = {}

    @property
    def best(self) -> Evaluated:
        """The best so far, the earliest of equals: a tie keeps what was there."""
        return max(self.seen, key=lambda found: (found.mrr, -found.step))

    @property
    def is_over(self) -> bool:
        """No improvement for as many looks as patience allows."""
        return self._since >= self._patience

    def look(self, step: int, epoch: float) -> None:
        """Evaluate, log, and keep the weights when they are the best so far."""
        found = Evaluated(step, epoch, self._evaluate(), time.perf_counter() - self._start)
        self.seen.append(found)
        names = {f"validation/{name.replace('@', '_at_')}": value for name, value in found.metrics.items()}
        self._log.metrics({**names, "train/epoch": epoch}, step=step)
        if self.best is found:
            self.weights, self._since = self._network.weights(), 0
        else:
            self._since += 1


def _cut(ids: list[list[int]], most: int | None) -> list[list[int]]:
    """Cut token ids, keeping the closing special token."""
    return [one if most is None or len(one) <= most else [*one[: most - 1], one[-1]] for one in ids]


def _update(
    network: Network,
    objective: Objective,
    data: _Data,
    batch: Sequence[int],
    optimizer: torch.optim.Optimizer,
    rate: float,
) -> float:
    import torch

    queries = network.embed([data.queries[place] for place in batch])
    documents = network.embed([data.documents[place] for place in batch])
    loss = objective.loss(queries, documents)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_NORM)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    return float(loss.detach())


def _looks(batches: int, wanted: int) -> set[int]:
    """Return after which batches of an epoch to evaluate: evenly, the last one included."""
    return {max(1, round(batches * (number + 1) / wanted)) for number in range(wanted)}


def _share(step: int, most: int) -> float:
    """Share of the learning rate: up over the first tenth, then down to a fiftieth at the last possible step."""
    warm = max(1, int(most * WARM_UP_SHARE))
    return (step + 1) / warm if step < warm else max(0.02, (most - step) / max(1, most - warm))
