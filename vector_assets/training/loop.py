"""The training loop: until validation stops improving, the best weights kept, the untrained base always an arm."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.records import Pair, RunLog
from vector_assets.spec import LABELLED, Training
from vector_assets.training.network import Network
from vector_assets.training.objectives import OBJECTIVES, Classes, Seen
from vector_assets.training.resume import Resume
from vector_assets.training.retrieval import Pool, pool_of
from vector_assets.training.scoring import Scored, Tokenize, score_pool
from vector_assets.training.watch import Evaluated, Watch

if TYPE_CHECKING:
    import torch

WARM_UP_SHARE = 0.1
MAX_NORM = 1.0
#: A head learns this many times faster than the encoder below it.
HEAD_TIMES = 20


@dataclass(frozen=True, slots=True)
class Step:
    """One update."""

    step: int
    loss: float
    learning_rate: float


@dataclass(frozen=True, slots=True)
class History:
    """What happened. ``best_step`` 0 means that training never beat the base by ``metric``.

    ``gap`` is how much better the kept weights score on what they learned from than on validation; for retrieval, how
    much more so than the base did, since one split may be harder than the other.
    """

    steps: tuple[Step, ...]
    evaluations: tuple[Evaluated, ...]
    best_step: int
    seconds: float
    metric: str = "mrr@10"
    gap: float = 0.0
    resumed_at: int | None = None

    def at(self, step: int) -> Evaluated:
        """Return the evaluation of a step."""
        return next(found for found in self.evaluations if found.step == step)


@dataclass(frozen=True, slots=True)
class Progress:
    """Where training is, for a progress bar; ``steps`` is the most there can be."""

    step: int
    steps: int
    loss: float
    best: float
    metric: str


def fit(
    network: Network,
    train: Sequence[Pair],
    validation: Sequence[Pair],
    training: Training,
    *,
    tokenize: Tokenize,
    log: RunLog,
    progress: Callable[[Progress], None] | None = None,
    resume: Resume | None = None,
) -> History:
    """Train in place and leave the network with the best weights that validation saw, the base's among them."""
    session = Session(network, train, validation, training, tokenize=tokenize, log=log)
    return session.run(progress=progress, resume=resume)


class Session:
    """A network with its objective, before, while and after it learns."""

    def __init__(
        self,
        network: Network,
        train: Sequence[Pair],
        validation: Sequence[Pair],
        training: Training,
        *,
        tokenize: Tokenize,
        log: RunLog,
    ) -> None:
        """Tokenise, compute what never changes, and start the objective's head where it has one."""
        self.network, self.training, self._tokenize, self._log = network, training, tokenize, log
        self.objective = OBJECTIVES[training.objective]()
        self._train = train
        self.labels = tuple(sorted({one.label for one in train})) if training.objective in LABELLED else ()
        self._classes = _classes(train, self.labels)
        self._documents = _cut(tokenize([one.document for one in train], False), training.learn_tokens)
        queries = [] if self.labels else tokenize([one.query for one in train], True)
        self._queries = _cut(queries, training.learn_tokens)
        self._validation = pool_of(validation)
        most = training.max_validation if self.labels else len(validation)
        drawn = np.random.default_rng([training.seed, 1]).permutation(len(train))[:most]
        self._learned = pool_of([train[place] for place in sorted(drawn)])
        network.prepare(self._documents + self._queries)
        for pool in (self._validation, self._learned):
            self.prepare(pool)
        if self.labels:
            self._start_head(validation)

    def prepare(self, pool: Pool) -> None:
        """Compute once what is needed of a pool at every look."""
        queries = [] if pool.own else self._tokenize([query.text for query in pool.queries], True)
        self.network.prepare(self._tokenize(pool.documents, False) + queries)

    def score(self, pool: Pool) -> Scored:
        """Score the network, and its head, as they are now."""
        return score_pool(self.network, pool, self._tokenize, self.objective.head, self.labels)

    def run(self, *, progress: Callable[[Progress], None] | None = None, resume: Resume | None = None) -> History:
        """Train, or go on from where a killed run was; keep the best weights."""
        saved = resume.load() if resume else None
        run = _Run(self, saved)
        run.go(progress, resume)
        best, metric = run.watch.best, run.watch.metric
        self.network.restore(run.watch.weights)
        if self.objective.head:
            self.objective.head.restore(run.watch.head)
        gap = self.gap(best, metric) if best.step else run.base_gap
        if metric == "mrr@10":
            gap -= run.base_gap
        resumed_at = int(saved["step"]) if saved else None
        return History(tuple(run.steps), tuple(run.watch.seen), best.step, run.seconds, metric, gap, resumed_at)

    def gap(self, found: Evaluated, metric: str) -> float:
        """Return how much better the weights of now score on what they learned from than they did on validation."""
        return self.score(self._learned).metrics[metric] - found.metrics[metric] if self._learned.queries else 0.0

    def watch(self) -> Watch:
        """Return what watches validation of this session."""
        return Watch(
            self.network, self.objective.head, self.training.patience,
            lambda: self.score(self._validation).metrics, self._log,
        )  # fmt: skip

    def batches(self, generator: np.random.Generator) -> list[list[int]]:
        """Return the batches of one epoch."""
        lengths = [len(one) for one in self._documents]
        return self.objective.batches(self._train, lengths, size=self.training.batch_size, generator=generator)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return the optimiser of network and head."""
        import torch

        head = self.objective.head
        groups: list[dict[str, Any]] = [{"params": self.network.parameters(), "times": 1}]
        groups += [{"params": head.parameters(), "times": HEAD_TIMES}] if head else []
        groups = [group for group in groups if group["params"]]
        return torch.optim.AdamW(groups, lr=self.training.learning_rate, weight_decay=0.01)

    def update(self, batch: Sequence[int], optimizer: torch.optim.Optimizer, rate: float) -> float:
        """Take one step and return the loss before it."""
        import torch

        queries = self.network.embed([self._queries[place] for place in batch]) if self._queries else None
        documents = self.network.embed([self._documents[place] for place in batch])
        classes = torch.from_numpy(self._classes[batch]) if self.labels else None
        loss = self.objective.loss(Seen(documents, queries, classes))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        for group in optimizer.param_groups:
            torch.nn.utils.clip_grad_norm_(group["params"], MAX_NORM)
            group["lr"] = rate * group["times"]
        optimizer.step()
        return float(loss.detach())

    def log(self, step: Step) -> None:
        """Log one update."""
        self._log.metrics({"train/loss": step.loss, "train/learning_rate": step.learning_rate}, step=step.step)

    def _start_head(self, validation: Sequence[Pair]) -> None:
        known = [one for one in validation if one.label in set(self.labels)]
        texts = self._tokenize([one.document for one in known], False)
        check = self.network.encode(texts) if known else np.empty((0, 1), np.float32)
        vectors = self.network.encode(self._documents)
        self.objective.start(vectors, self._classes, (check, _classes(known, self.labels)))


class _Run:
    """Where a run is: what a kill would lose, and a file can bring back."""

    def __init__(self, session: Session, saved: Mapping[str, Any] | None) -> None:
        import torch

        self.session, self.watch, self.optimizer = session, session.watch(), session.optimizer()
        self.generator = np.random.default_rng(session.training.seed)
        self.steps: list[Step] = []
        self.epoch = self.done = self.most = 0
        self.base_gap = self._before = 0.0
        self._start = time.perf_counter()
        torch.manual_seed(session.training.seed)
        if saved is None:
            self.watch.look(0, 0.0)
            self.base_gap = session.gap(self.watch.best, self.watch.metric)
        else:
            self._restore(saved)

    @property
    def seconds(self) -> float:
        """How long it has learned, before a kill as well."""
        return self._before + time.perf_counter() - self._start

    def go(self, progress: Callable[[Progress], None] | None, resume: Resume | None) -> None:
        """Learn to the end."""
        training = self.session.training
        while self.epoch < training.max_epochs and not self.watch.is_over:
            order = json.dumps(self.generator.bit_generator.state)  # what gives this epoch's batches once more
            batches = self.session.batches(self.generator)
            self.most = self.most or len(batches) * training.max_epochs
            looks = _looks(len(batches), training.evaluations_per_epoch)
            for number, batch in enumerate(batches, start=1):
                if number <= self.done:
                    continue
                rate = training.learning_rate * _share(len(self.steps), self.most)
                loss = self.session.update(batch, self.optimizer, rate)
                self.steps.append(Step(len(self.steps) + 1, loss, rate))
                self.session.log(self.steps[-1])
                if number in looks:
                    self.watch.look(len(self.steps), self.epoch + number / len(batches))
                self.done = number
                if resume and resume.is_due:
                    resume.save(self._state(order))
                if progress:
                    progress(self._progress(loss))
                if self.watch.is_over:
                    return
            self.epoch, self.done = self.epoch + 1, 0

    def _progress(self, loss: float) -> Progress:
        metric = self.watch.metric
        steps = len(self.steps)
        return Progress(steps, max(self.most, steps), loss, self.watch.best.metrics[metric], metric)

    def _state(self, order: str) -> dict[str, Any]:
        import torch

        head = self.session.objective.head
        return {
            "step": len(self.steps), "epoch": self.epoch, "done": self.done, "most": self.most, "order": order,
            "random": torch.get_rng_state(), "network": self.session.network.weights(),
            "head": head.state() if head else {}, "optimizer": self.optimizer.state_dict(),
            "steps": json.dumps([asdict(step) for step in self.steps]),
            "seen": json.dumps([asdict(found) for found in self.watch.seen]), "since": self.watch.since,
            "best": self.watch.weights, "best_head": self.watch.head, "fast": self.session.network.fast,
            "base_gap": self.base_gap, "seconds": self.seconds,
        }  # fmt: skip

    def _restore(self, saved: Mapping[str, Any]) -> None:
        import torch

        self.session.network.restore(saved["network"])
        if self.session.objective.head:
            self.session.objective.head.restore(saved["head"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.epoch, self.done, self.most = int(saved["epoch"]), int(saved["done"]), int(saved["most"])
        self.base_gap, self._before = float(saved["base_gap"]), float(saved["seconds"])
        self.generator.bit_generator.state = json.loads(saved["order"])
        self.steps = [Step(**step) for step in json.loads(saved["steps"])]
        self.watch.seen = [Evaluated(**found) for found in json.loads(saved["seen"])]
        self.watch.since, self.watch.weights, self.watch.head = int(saved["since"]), saved["best"], saved["best_head"]
        torch.set_rng_state(saved["random"])
        for step in self.steps:  # a new run of the log begins; it shows the whole curve
            self.session.log(step)
        for found in self.watch.seen:
            self.watch.tell(found)


def _classes(examples: Sequence[Pair], labels: Sequence[str]) -> Classes:
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[one.label] for one in examples] if labels else [], np.int64)


def _cut(ids: list[list[int]], most: int | None) -> list[list[int]]:
    """Cut token ids, keeping the closing special token."""
    return [one if most is None or len(one) <= most else [*one[: most - 1], one[-1]] for one in ids]


def _looks(batches: int, wanted: int) -> set[int]:
    """Return after which batches of an epoch to evaluate: evenly, the last one included."""
    return {max(1, round(batches * (number + 1) / wanted)) for number in range(wanted)}


def _share(step: int, most: int) -> float:
    """Share of the learning rate: up over the first tenth, then down to a fiftieth at the last possible step."""
    warm = max(1, int(most * WARM_UP_SHARE))
    return (step + 1) / warm if step < warm else max(0.02, (most - step) / max(1, most - warm))
