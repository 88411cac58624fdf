"""A model on held-out examples: what it finds, and what its head says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vector_assets.encoder.text.model import cut
from vector_assets.metrics import Scores
from vector_assets.records import Vectors
from vector_assets.training.network import Network
from vector_assets.training.objectives import Head
from vector_assets.training.retrieval import Pool, judge

#: Returns the token ids of texts: (texts, is_query) -> ids with prefix and cut as the contract says.
Tokenize = Callable[[Sequence[str], bool], list[list[int]]]


@dataclass(frozen=True, slots=True)
class Classified:
    """What a head said of the texts whose label it knows."""

    truth: tuple[str, ...]
    said: tuple[str, ...]

    @property
    def correct(self) -> Scores:
        """1 for each text that it was right about, else 0."""
        return np.array([a == b for a, b in zip(self.truth, self.said, strict=True)], np.float64)

    @property
    def metrics(self) -> dict[str, float]:
        """Accuracy, and the mean of the labels' F1 (labels that occur in either)."""
        from sklearn.metrics import f1_score

        f1 = f1_score(self.truth, self.said, average="macro", zero_division=0)
        return {"accuracy": float(self.correct.mean()), "f1_macro": float(f1)}


@dataclass(frozen=True, slots=True)
class Scored:
    """What a model reached on a pool: mean metrics, the pool's metric for each query, what its head said.

    ``documents`` and ``queries`` are the vectors that it was scored by; labelled texts have no queries of their own.
    """

    metrics: dict[str, float]
    metric: str
    each: Scores
    classified: Classified | None = None
    documents: Vectors | None = None
    queries: Vectors | None = None


def score_pool(
    network: Network,
    pool: Pool,
    tokenize: Tokenize,
    head: Head | None = None,
    labels: Sequence[str] = (),
    widths: Sequence[int] = (),
) -> Scored:
    """Score a model on held-out examples, and its head when it has one for these ``labels``.

    For each of the ``widths`` that is less than what is served, ``<metric>_dims_<width>`` is the pool's
    metric of the first dims.
    """
    documents = network.encode(tokenize(pool.documents, False))
    if pool.own:
        queries = documents[list(pool.own)]
    else:
        queries = network.encode(tokenize([query.text for query in pool.queries], True))
    found = judge(pool, queries, documents)
    for width in widths:
        if width < network.dims:
            first = judge(pool, cut(queries, width), cut(documents, width))
            found.metrics[f"{pool.metric}_dims_{width}"] = first.metrics[pool.metric]
    has = set(labels)
    known = [number for number, label in enumerate(pool.labels) if label in has]
    asked = queries[:0] if pool.own else queries
    if head is None or not known:
        return Scored(found.metrics, found.metric, found.each, None, documents, asked)
    said = head.predict(documents[known])
    classified = Classified(tuple(pool.labels[n] for n in known), tuple(labels[n] for n in said))
    return Scored(found.metrics | classified.metrics, found.metric, found.each, classified, documents, asked)
