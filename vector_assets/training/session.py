"""A network with its objective, before, while and after it learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.records import Pair, RunLog
from vector_assets.spec import LABELLED, Training
from vector_assets.training.network import Network
from vector_assets.training.objectives import OBJECTIVES, Classes, Seen
from vector_assets.training.retrieval import Pool, pool_of
from vector_assets.training.scoring import Scored, Tokenize, score_pool
from vector_assets.training.watch import Evaluated, Watch

if TYPE_CHECKING:
    import torch

MAX_NORM = 1.0
#: A head learns this many times faster than the encoder below it.
HEAD_TIMES = 20


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
        learns: bool = True,
    ) -> None:
        """Tokenise, compute what never changes, and start the objective's head where it has one.

        With ``learns`` False it is only to be scored, and what learning needs is left out.
        """
        self.network, self.training, self._tokenize, self.log = network, training, tokenize, log
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
        self.learns = learns and training.trainable != "none"
        if self.learns:
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

    def gap(self, found: Evaluated, metric: str) -> float:
        """Return how much better the weights of now score on what they learned from than they did on validation."""
        return self.score(self._learned).metrics[metric] - found.metrics[metric] if self._learned.queries else 0.0

    def watch(self) -> Watch:
        """Return what watches validation of this session."""
        return Watch(
            self.network, self.objective.head, self.training.patience,
            lambda: self.score(self._validation).metrics, self.log,
        )  # fmt: skip

    def batches(self, generator: np.random.Generator) -> list[list[int]]:
        """Return the batches of one epoch."""
        lengths = [len(one) for one in self._documents]
        return self.objective.batches(self._train, lengths, size=self.training.batch_size, generator=generator)

    def optimizer(self) -> torch.optim.Optimizer:
        """Return the optimiser of network and head."""
        import torch

        head = self.objective.head
        scalars = self.network.scalars()
        rest = [one for one in self.network.parameters() if not any(one is scalar for scalar in scalars)]
        groups: list[dict[str, Any]] = [{"params": rest, "times": 1}, {"params": scalars, "times": HEAD_TIMES}]
        groups += [{"params": head.parameters(), "times": HEAD_TIMES}] if head else []
        groups = [group for group in groups if group["params"]]
        if not groups:  # nothing learns, and an optimiser must have something
            groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "times": 1}]
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

    def _start_head(self, validation: Sequence[Pair]) -> None:
        known = [one for one in validation if one.label in set(self.labels)]
        texts = self._tokenize([one.document for one in known], False)
        check = self.network.encode(texts) if known else np.empty((0, 1), np.float32)
        vectors = self.network.encode(self._documents)
        self.objective.start(vectors, self._classes, (check, _classes(known, self.labels)))


def _classes(examples: Sequence[Pair], labels: Sequence[str]) -> Classes:
    places = {label: place for place, label in enumerate(labels)}
    return np.array([places[one.label] for one in examples] if labels else [], np.int64)


def _cut(ids: list[list[int]], most: int | None) -> list[list[int]]:
    """Cut token ids, keeping the closing special token."""
    return [one if most is None or len(one) <= most else [*one[: most - 1], one[-1]] for one in ids]
