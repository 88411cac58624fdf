"""The training loop: until validation stops improving, the best weights kept, the untrained base always an arm."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import numpy as np

from vector_assets.records import Pair, RunLog
from vector_assets.spec import Training
from vector_assets.training.history import History, Progress, Step
from vector_assets.training.network import Network
from vector_assets.training.resume import Resume
from vector_assets.training.schedule import looks_after, rate_share
from vector_assets.training.scoring import Tokenize
from vector_assets.training.session import Session
from vector_assets.training.stages import Stage
from vector_assets.training.watch import Evaluated

#: Told all looks at validation so far and the name of what chooses; raises to end training.
Judge = Callable[[Sequence[Evaluated], str], None]


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
    return learn(Session(network, train, validation, training, tokenize=tokenize, log=log), progress, resume)


def learn(
    session: Session,
    progress: Callable[[Progress], None] | None = None,
    resume: Resume | None = None,
    *,
    judge: Judge | None = None,
    keep: bool = False,
) -> History:
    """Train, or go on from where a killed run was; keep the best weights of network and head.

    ``judge`` is asked after every look and may raise. With ``keep`` the end is saved as well: learning from it ends at
    once, with these weights and this history.
    """
    saved = resume.load() if resume else None
    with session.head.learning() if session.head else nullcontext():
        run = _Run(session, saved, judge)
        if run.learns:
            run.go(progress, resume)
        if keep and resume:
            resume.save(run.state())
    best, metric = run.watch.best, run.watch.metric
    session.network.restore(run.watch.weights)
    if session.head and run.watch.head:
        session.head.restore(run.watch.head)
    gap = session.gap(best, metric) if best.step else run.base_gap
    if metric != "accuracy":
        gap -= run.base_gap
    resumed_at = int(saved["step"]) if saved else None
    return History(tuple(run.steps), tuple(run.watch.seen), best.step, run.seconds, metric, gap, resumed_at)


class _Run:
    """Where a run is: what a kill would lose, and a file can bring back."""

    def __init__(self, session: Session, saved: Mapping[str, Any] | None, judge: Judge | None = None) -> None:
        import torch

        self.judge = judge
        self.session, self.watch = session, session.watch()
        self.number = int(saved["stage"]) if saved else 0
        self.generator = np.random.default_rng(session.training.seed)
        self.order = json.dumps(self.generator.bit_generator.state)
        self.steps: list[Step] = []
        self.epoch = self.done = self.most = self.began = 0
        self.base_gap = self._before = 0.0
        self._start = time.perf_counter()
        torch.manual_seed(session.training.seed)
        if self.learns:
            self.stage.start(anew=saved is None)
        self.optimizer = self.stage.optimizer()
        if saved is None:
            self._look(0.0)
            self.base_gap = session.gap(self.watch.best, self.watch.metric)
        else:
            self._restore(saved)

    @property
    def learns(self) -> bool:
        """Something is to be learned; otherwise this is the look at the base alone."""
        return self.session.training.trainable != "none"

    @property
    def stage(self) -> Stage:
        """What is learned now."""
        return self.session.stages[self.number]

    @property
    def seconds(self) -> float:
        """How long it has learned, before a kill as well."""
        return self._before + time.perf_counter() - self._start

    def go(self, progress: Callable[[Progress], None] | None, resume: Resume | None) -> None:
        """Learn to the end, one stage after the other."""
        while True:
            self._go_stage(progress, resume)
            if self.number + 1 == len(self.session.stages):
                return
            self.number += 1
            self.began, self.epoch, self.done, self.most = len(self.steps), 0, 0, 0
            self.stage.start(anew=True)
            self.optimizer = self.stage.optimizer()
            self.watch.follow(self.session.head)
            self._look(0.0)
            self.watch.since = 0  # what came before may have done harm: this stage has all of its patience

    def _go_stage(self, progress: Callable[[Progress], None] | None, resume: Resume | None) -> None:
        stage = self.stage
        while self.epoch < stage.epochs and not self._is_over:
            self.order = json.dumps(self.generator.bit_generator.state)  # what gives this epoch's batches once more
            batches = stage.batches(self.generator)
            self.most = self.most or len(batches) * stage.epochs
            looks = looks_after(len(batches), stage.looks)
            for number, batch in enumerate(batches, start=1):
                if number <= self.done:
                    continue
                rate = stage.learning_rate * rate_share(len(self.steps) - self.began, self.most)
                loss = stage.update(batch, self.optimizer, rate)
                self.steps.append(Step(len(self.steps) + 1, loss, rate, stage.name))
                self._tell(self.steps[-1])
                if number in looks:
                    self._look(self.epoch + number / len(batches))
                self.done = number
                if resume and resume.is_due:
                    resume.save(self.state())
                if progress:
                    progress(self._progress(loss))
                if self._is_over:
                    return
            self.epoch, self.done = self.epoch + 1, 0

    @property
    def _is_over(self) -> bool:
        return self.stage.looks > 0 and self.watch.is_over

    def _progress(self, loss: float) -> Progress:
        metric = self.watch.metric
        steps = len(self.steps)
        return Progress(steps, max(self.began + self.most, steps), loss, self.watch.best.metrics[metric], metric)

    def _look(self, epoch: float) -> None:
        self.watch.look(len(self.steps), epoch)
        if self.judge:
            self.judge(self.watch.seen, self.watch.metric)

    def _tell(self, step: Step) -> None:
        names = {f"{step.stage}/loss": step.loss, f"{step.stage}/learning_rate": step.learning_rate}
        self.session.log.metrics(names, step=step.step)

    def state(self) -> dict[str, Any]:
        """Return all that a run goes on from."""
        import torch

        head = self.session.head
        return {
            "stage": self.number, "began": self.began, "beside": self.stage.state(),
            "step": len(self.steps), "epoch": self.epoch, "done": self.done, "most": self.most, "order": self.order,
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
        if self.session.head:
            self.session.head.restore(saved["head"])
        self.stage.restore(saved["beside"])
        self.began = int(saved["began"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.epoch, self.done, self.most = int(saved["epoch"]), int(saved["done"]), int(saved["most"])
        self.base_gap, self._before = float(saved["base_gap"]), float(saved["seconds"])
        self.order = str(saved["order"])
        self.generator.bit_generator.state = json.loads(self.order)
        self.steps = [Step(**step) for step in json.loads(saved["steps"])]
        self.watch.seen = [Evaluated(**found) for found in json.loads(saved["seen"])]
        self.watch.since, self.watch.weights, self.watch.head = int(saved["since"]), saved["best"], saved["best_head"]
        torch.set_rng_state(saved["random"])
        for step in self.steps:  # a new run of the log begins; it shows the whole curve
            self._tell(step)
        for found in self.watch.seen:
            self.watch.tell(found)
