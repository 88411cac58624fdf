"""The data of a task as it was read, with its digest, and what an encoder scores on it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from vector_assets.index.scores import classification, clustering, retrieval, sts
from vector_assets.index.scores.reading import Reading
from vector_assets.records import JudgedQuery, Key
from vector_assets.source.scored import Labelled, ScoredPairs

#: Part of every digest: how scores are computed.
PROTOCOL = "1"

Scores = dict[str, object]


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Judged queries, and the rows that they are asked of, in key order. ``of`` counts the rows that there are."""

    judged: tuple[JudgedQuery, ...]
    keys: tuple[Key, ...]
    texts: tuple[str, ...]
    of: int

    kind: ClassVar[str] = "retrieval"
    main: ClassVar[str] = retrieval.MAIN

    @property
    def revision(self) -> str:
        """Digest of queries, judgements and rows."""
        asked = [[query.id, query.text, sorted(query.relevant.items())] for query in self.judged]
        return _digest(self.kind, asked, [list(key) for key in self.keys], self.texts, self.of)

    def score(self, reading: Reading) -> Scores:
        """Ask all rows all queries."""
        queries = reading.queries([query.text for query in self.judged])
        found = retrieval.retrieval_scores(queries, self.judged, self.keys, reading.documents(self.texts))
        return {**found, "rows": self.of}


@dataclass(frozen=True, slots=True)
class Classification:
    """What is learned from, what is asked, and how often a few texts are drawn."""

    train: Labelled
    test: Labelled
    shots: int = 8
    draws: int = 10
    seed: int = 0

    kind: ClassVar[str] = "classification"
    main: ClassVar[str] = classification.MAIN

    @property
    def revision(self) -> str:
        """Digest of texts, labels and protocol."""
        return _digest(
            self.kind, self.train.texts, self.train.labels, self.test.texts, self.test.labels,
            (self.shots, self.draws, self.seed),
        )  # fmt: skip

    def score(self, reading: Reading) -> Scores:
        """Learn from a few, ask the others. Of what is learned from, only what some draw takes is encoded."""
        labels, test = np.asarray(self.train.labels), reading.documents(self.test.texts)
        draws = [classification.drawn(labels, shots=self.shots, seed=self.seed + draw) for draw in range(self.draws)]
        taken = np.unique(np.concatenate(draws))
        train = np.zeros((len(labels), test.shape[1]), np.float32)
        train[taken] = reading.documents([self.train.texts[place] for place in taken])
        return classification.classification_scores(
            train, self.train.labels, test, self.test.labels, shots=self.shots, draws=self.draws, seed=self.seed
        )


@dataclass(frozen=True, slots=True)
class Clustering:
    """Texts with the labels that clusters are compared with."""

    data: Labelled
    draws: int = 10
    seed: int = 0

    kind: ClassVar[str] = "clustering"
    main: ClassVar[str] = clustering.MAIN

    @property
    def revision(self) -> str:
        """Digest of texts, labels and protocol."""
        return _digest(self.kind, self.data.texts, self.data.labels, (self.draws, self.seed))

    def score(self, reading: Reading) -> Scores:
        """Cluster and compare."""
        vectors = reading.documents(self.data.texts)
        return clustering.clustering_scores(vectors, self.data.labels, draws=self.draws, seed=self.seed)


@dataclass(frozen=True, slots=True)
class Sts:
    """Pairs of texts with how alike they are; both are read as documents."""

    pairs: ScoredPairs

    kind: ClassVar[str] = "sts"
    main: ClassVar[str] = sts.MAIN

    @property
    def revision(self) -> str:
        """Digest of the pairs."""
        return _digest(self.kind, self.pairs.left, self.pairs.right, self.pairs.scores)

    def score(self, reading: Reading) -> Scores:
        """Correlate."""
        both = reading.documents([*self.pairs.left, *self.pairs.right])
        half = len(self.pairs.left)
        return sts.sts_scores(both[:half], both[half:], self.pairs.scores)


TaskData = Retrieval | Classification | Clustering | Sts


def _digest(kind: str, *parts: Sequence[object] | int) -> str:
    text = json.dumps([PROTOCOL, kind, *parts], ensure_ascii=False, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
