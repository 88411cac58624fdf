"""A network with its objective, before, while and after it learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from vector_assets.errors import SpecError
from vector_assets.records import Pair, RunLog
from vector_assets.spec import LABELLED, UNLABELLED, Training
from vector_assets.training.dropping import dropping
from vector_assets.training.examples import answers_of, classes_of, cut_ids
from vector_assets.training.heads import Head
from vector_assets.training.network import Network
from vector_assets.training.objectives import Matryoshka, Objective, Seen, make_objective
from vector_assets.training.optimizing import Optimizer
from vector_assets.training.retrieval import Pool, pool_of
from vector_assets.training.scoring import Scored, Tokenize, score_pool
from vector_assets.training.stages import Stage, TextStage, repeated, take_step
from vector_assets.training.teacher import Teacher
from vector_assets.training.text_stages import Texts
from vector_assets.training.watch import Evaluated, Watch

if TYPE_CHECKING:
    import torch


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
        texts: Sequence[str] = (),
        teacher: Teacher | None = None,
        learns: bool = True,
        epoch_steps: int | None = None,
    ) -> None:
        """Tokenise, compute what never changes, and start the objective's head where it has one.

        ``texts`` are read before the pairs where ``pretrain`` is declared; a ``teacher`` knows all texts already. With
        ``learns`` False it is only to be scored, and what learning needs is left out. An epoch has so many
        ``epoch_steps``, whatever there is to read; None reads everything once.
        """
        self._epoch_steps = epoch_steps
        self.network, self.training, self._tokenize, self.log = network, training, tokenize, log
        self._teacher = teacher
        self.widths = widths_of(training, network)
        self._train, self._check = train, validation
        self.labels = tuple(sorted({one.label for one in train})) if training.objective in LABELLED else ()
        self._classes = classes_of(train, self.labels)
        self._weights = np.array([one.weight for one in train], np.float32)
        self._documents = self._cut([one.document for one in train])
        alone = training.objective in UNLABELLED
        queries = [] if self.labels or alone else tokenize([one.query for one in train], True)
        self._queries = cut_ids(queries, training.learn_tokens)
        negatives = list(dict.fromkeys(text for one in train for text in one.negatives))
        self._negatives = dict(zip(negatives, self._cut(negatives), strict=True))
        self._answers = answers_of(train) if negatives else {}
        self._validation = self.pool(validation)
        most = training.max_validation if self.labels or alone else len(validation)
        drawn = np.random.default_rng([training.seed, 1]).permutation(len(train))[:most]
        self._learned = self.pool([train[place] for place in sorted(drawn)])
        self.learns = learns and training.trainable != "none"
        self._dropouts = network.dropouts() if self.learns and training.dropout else []
        if self.learns:
            network.prepare(self._documents + self._queries)
        for pool in (self._validation, self._learned):
            self.prepare(pool)
        self.objective = None if alone else _objective(training, self.widths)
        self.stages = self._stages(texts)
        if self.labels:
            self._start_head()

    @property
    def head(self) -> Head | None:
        """What learns beside the encoder and is kept."""
        return self.objective.head if self.objective else None

    @property
    def settings(self) -> Mapping[str, str | int | float | bool]:
        """What to log about all objectives."""
        found = dict(self.objective.settings()) if self.objective else {}
        for stage in self.stages:
            if isinstance(stage, TextStage):
                before = "" if stage.name == "train" else f"{stage.name}_"
                found |= {f"{before}{name}": value for name, value in stage.settings.items()}
        return found

    def pool(self, pairs: Sequence[Pair]) -> Pool:
        """Return what these examples are asked: of a student, the teacher's nearest."""
        return self._teacher.pool([pair.document for pair in pairs]) if self._teacher else pool_of(pairs)

    def prepare(self, pool: Pool) -> None:
        """Compute once what is needed of a pool at every look."""
        queries = [] if pool.own else self._tokenize([query.text for query in pool.queries], True)
        self.network.prepare(self._tokenize(pool.documents, False) + queries)

    def score(self, pool: Pool) -> Scored:
        """Score the network, and its head, as they are now."""
        return score_pool(self.network, pool, self._tokenize, self.head, self.labels, self.training.matryoshka or ())

    def score_test(self, pool: Pool) -> Scored:
        """Score on test; a student also by how near it is to its teacher."""
        found = self.score(pool)
        if self._teacher:
            vectors = self.network.encode(self._tokenize(pool.documents, False))
            found.metrics["teacher_cosine"] = float(self._teacher.cosines(pool.documents, vectors).mean())
        return found

    def gap(self, found: Evaluated, metric: str) -> float:
        """Return how much better the weights of now score on what they learned from than they did on validation."""
        if self._learned.queries:
            return self.score(self._learned).metrics[metric] - found.metrics[metric]
        if metric != "accuracy" or self.head is None:
            return 0.0
        said = self.head.predict(self.network.encode(self._tokenize(self._learned.documents, False)))
        right = [self.labels[n] == label for n, label in zip(said, self._learned.labels, strict=True)]
        return float(np.mean(right)) - found.metrics[metric]

    def watch(self) -> Watch:
        """Return what watches validation of this session."""
        return Watch(
            self.network, self.head, self.training.patience, lambda: self.score(self._validation).metrics, self.log,
            retrieval=self._validation.metric,
        )  # fmt: skip

    # -- the stage of pairs or labels

    @property
    def name(self) -> str:
        """How its losses are called."""
        return "train"

    @property
    def epochs(self) -> int:
        """At most so many."""
        return self.training.max_epochs

    @property
    def looks(self) -> int:
        """Looks at validation per epoch."""
        return self.training.evaluations_per_epoch

    @property
    def learning_rate(self) -> float:
        """The highest."""
        return self.training.learning_rate

    def start(self, *, anew: bool) -> None:
        """Fit the head once more where the encoder has learned since: linear probing comes before fine-tuning."""
        if self.labels and anew and self.stages[0] is not self:
            self._start_head()

    def batches(self, generator: np.random.Generator) -> list[list[int]]:
        """Return the batches of one epoch."""
        assert self.objective is not None, "of texts alone there is another stage"
        lengths = [len(one) for one in self._documents]
        draw = partial(self.objective.batches, self._train, lengths, size=self.training.batch_size, generator=generator)
        return repeated(draw, self._epoch_steps)

    def optimizer(self) -> Optimizer:
        """Return the optimiser of network and head."""
        return Optimizer(
            self.network.parameters(), self.head, rate=self.learning_rate, quick=self.network.scalars()
        )  # fmt: skip

    def update(self, batch: Sequence[int], optimizer: Optimizer, rate: float) -> float:
        """Take one step and return the loss before it."""
        assert self.objective is not None, "of texts alone there is another stage"
        with dropping(self._dropouts, self.training.dropout):
            seen = self._see(batch)
        return take_step(self.objective.loss(seen), optimizer, rate)

    def _see(self, batch: Sequence[int]) -> Seen:
        import torch

        queries = self.network.embed([self._queries[place] for place in batch]) if self._queries else None
        documents = self.network.embed([self._documents[place] for place in batch])
        classes = torch.from_numpy(self._classes[batch]) if self.labels else None
        wrong = self._wrong(batch)
        negatives = self.network.embed([self._negatives[text] for text in wrong]) if wrong else None
        weights = torch.from_numpy(self._weights[batch]) if (self._weights != 1).any() else None
        seen = Seen(documents, queries, classes, negatives, weights)
        if self.network.dims < self.network.width and not self.training.matryoshka:
            seen = seen.cut(self.network.dims)
        return seen

    def state(self) -> dict[str, torch.Tensor]:
        """Return nothing: the head is kept by itself."""
        return {}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Do nothing."""

    def _wrong(self, batch: Sequence[int]) -> list[str]:
        """Return the mined negatives of a batch, each once: none is a document or a known answer of the batch."""
        if not self._negatives:
            return []
        right = {self._train[place].document for place in batch}
        right |= {text for place in batch for text in self._answers[self._train[place].query]}
        wrong = dict.fromkeys(text for place in batch for text in self._train[place].negatives)
        return [text for text in wrong if text not in right]

    def _stages(self, texts: Sequence[str]) -> list[Stage]:
        first = Texts(self.network, self.training, self.widths, self._teacher)
        if self.training.objective in UNLABELLED:
            return [first.only([one.document for one in self._train], self._documents, steps=self._epoch_steps)]
        return [self] if self.training.pretrain is None else [first.before(self._cut(texts)), self]

    def _start_head(self) -> None:
        assert self.objective is not None
        known = [one for one in self._check if one.label in set(self.labels)]
        texts = self._tokenize([one.document for one in known], False)
        check = self.network.encode(texts) if known else np.empty((0, 1), np.float32)
        vectors = self.network.encode(self._documents)
        self.objective.start(vectors, self._classes, (check, classes_of(known, self.labels)))

    def _cut(self, texts: Sequence[str]) -> list[list[int]]:
        return cut_ids(self._tokenize(texts, False), self.training.learn_tokens) if texts else []


def widths_of(training: Training, network: Network) -> tuple[int, ...]:
    """Return the widths to learn beside the whole vector, that which is served among them.

    Raises SpecError for one that is not less than the model's.
    """
    if not training.matryoshka:
        return ()
    for width in training.matryoshka:
        if width >= network.width:
            raise SpecError(
                f"train.matryoshka: found {width}; expected less than the {network.width} dims of {network.name}, "
                "which are learned anyway"
            )
    return tuple(sorted({*training.matryoshka, network.dims} - {network.width}, reverse=True))


def _objective(training: Training, widths: Sequence[int]) -> Objective:
    found = make_objective(training)
    return Matryoshka(found, widths) if widths else found
