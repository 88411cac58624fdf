"""The candidate stage: build the index, measure it, check integrity, judge quality, decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from vector_assets.index.comparing import Asked, Asks, Compared, Compares, compare
from vector_assets.index.decide import decide, decide_first, remark, weigh_words
from vector_assets.index.integrity import Checked, check_norms, check_recall
from vector_assets.index.partial import MeasuredPartial, PartialIndexes, measure_partials
from vector_assets.index.recall import Found, Recall, choose_ef_search, questions_of
from vector_assets.records import Comparison, Decision, Generation, Vectors
from vector_assets.spec import Collection, Evaluation

RECALL_QUERIES = 500
# Fewer real questions than this say little of the mean: the table's own vectors are asked as well.
FEW = 50


class BuiltIndex(Protocol):
    """What the store says of an index it built."""

    @property
    def seconds(self) -> float:
        """Time of the build; 0 when the index was there."""
        ...

    @property
    def bytes(self) -> int:
        """Size on disk."""
        ...

    @property
    def rows(self) -> int:
        """Vectors in the table."""
        ...

    @property
    def memory_mb(self) -> int:
        """Memory that the build was given."""
        ...

    @property
    def widths(self) -> tuple[int, ...]:
        """How widely it may be searched; none where there is no index."""
        ...

    @property
    def options(self) -> tuple[tuple[str, int], ...]:
        """What it was built with, by name."""
        ...

    @property
    def is_large(self) -> bool:
        """Whether there is no larger one that finds more."""
        ...


class CandidateStore(Compares, Protocol):
    """What the candidate stage asks of Postgres; stores/collection.py implements it."""

    def build(self, generation: Generation, *, log: Callable[[str], None]) -> BuiltIndex:
        """Build the index where it is missing, and ANALYZE."""
        ...

    def build_larger(self, generation: Generation, *, log: Callable[[str], None]) -> BuiltIndex:
        """Build the index anew with more links, beside the one in use."""
        ...

    def partial(self, generation: Generation) -> PartialIndexes:
        """Return the declared partial indexes of a generation."""
        ...

    def check_coverage(self, generation: Generation) -> Checked:
        """Count source against vectors, both ways."""
        ...

    def worst_norm(self, generation: Generation) -> float:
        """Return how far the farthest vector's length is from 1."""
        ...

    def sample(self, generation: Generation, count: int) -> Vectors:
        """Return some vectors of the table."""
        ...

    def neighbours(self, generation: Generation, queries: Vectors, *, k: int, ef_search: int | None) -> Found:
        """Return distances of the k nearest, and times; an exact scan when ``ef_search`` is None."""
        ...


class CandidateEncoders(Asks, Protocol):
    """Encodes questions with a generation's checkpoints, and checks their canaries."""

    def canaries(self, generation: Generation) -> Checked:
        """Compare canaries of all checkpoints, in bulk and on the query path."""
        ...


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """All that was measured of a generation, and what the gate says."""

    generation: Generation
    built: BuiltIndex
    recalls: tuple[Recall, ...]
    partials: tuple[MeasuredPartial, ...]
    checks: tuple[Checked, ...]
    compared: Compared
    decision: Decision

    @property
    def sound(self) -> bool:
        """No blocking check failed."""
        return all(check.passed for check in self.checks)


def measure_candidate(
    collection: Collection,
    generation: Generation,
    live: Generation | None,
    store: CandidateStore,
    encoders: CandidateEncoders,
    asked: Asked,
    *,
    metric: str,
    trained: Comparison | None,
    log: Callable[[str], None],
    lexical: bool = True,
) -> CandidateReport:
    """Measure a generation. When it is live itself there is nothing to decide, only to check.

    ``lexical`` says whether BM25 is measured beside it.
    """
    built = store.build(generation, log=log)
    log(_built(generation, built))
    canaries = encoders.canaries(generation)
    if not canaries.passed:
        # An encoder that is not what it was answers no questions: its check fails, and nothing else is asked of it.
        asked = Asked()
    queries = _queries(generation, store, encoders, asked)
    recalls, recall_check = _recall(collection, generation, store, queries, built.widths)
    if not recall_check.passed and not built.is_large:
        log(f"{recall_check.summary}: built again with more links")
        built = store.build_larger(generation, log=log)
        log(_built(generation, built))
        recalls, recall_check = _recall(collection, generation, store, queries, built.widths)
    log(recall_check.summary)
    partials = measure_partials(store.partial(generation), queries, collection.index, log=log)
    checks = (
        store.check_coverage(generation),
        check_norms(store.worst_norm(generation), dims=generation.dims, vector_type=generation.vector_type),
        canaries,
        recall_check,
    )
    compared = compare(
        generation, live, asked, store, encoders,
        metric=metric, declared=collection.evaluation or Evaluation(), lexical=lexical,
        hybrid=collection.lexical is not None,
    )  # fmt: skip
    decision = _decide(generation, live, compared, trained)
    log(f"{decision.decision}: {decision.reason}")
    return CandidateReport(generation, built, recalls, partials, checks, compared, decision)


def _decide(
    generation: Generation, live: Generation | None, compared: Compared, trained: Comparison | None
) -> Decision:
    bm25 = None if compared.synthetic or compared.of_rows else compared.lexical
    if live is None:
        return weigh_words(decide_first(trained), bm25, hybrid=compared.hybrid)
    if live.number == generation.number:
        return Decision("keep", "live is up to date; there is no candidate to decide on")
    same = live.checkpoint_set == generation.checkpoint_set
    decision = decide(compared.comparison, same_vectors=same, slices=compared.slices, synthetic=compared.synthetic)
    if same:
        return decision
    decision = weigh_words(decision, bm25, hybrid=compared.hybrid, live=compared.comparison)
    return remark(decision, compared.shadow)


def _recall(
    collection: Collection, generation: Generation, store: CandidateStore, queries: Vectors, widths: tuple[int, ...]
) -> tuple[tuple[Recall, ...], Checked]:
    """Measure recall at ever wider searches until what is declared is met."""
    declared = collection.index

    def search(ef_search: int | None) -> Found:
        return store.neighbours(generation, queries, k=10, ef_search=ef_search)

    recalls = choose_ef_search(search, recall=declared.recall, worst_recall=declared.worst_recall, widths=widths)
    chosen = recalls[-1]
    return recalls, check_recall(
        chosen.mean, chosen.worst, declared=declared.recall, declared_worst=declared.worst_recall,
        ef_search=chosen.ef_search, said=searched(generation, chosen.ef_search),
    )  # fmt: skip


def searched(generation: Generation, width: int) -> str:
    """Word how widely the index of a generation is searched."""
    if generation.index_type == "exact":
        return "by an exact scan"
    if generation.index_type == "ivfflat":
        return f"at {width} probes"
    return f"at ef_search {width}" + (", all ranked again" if generation.precision == "binary" else "")


def _built(generation: Generation, built: BuiltIndex) -> str:
    if generation.index_type == "exact":
        return f"no index is declared: all {built.rows} vectors are compared"
    return (
        f"index of {built.rows} vectors built in {built.seconds:.1f} s, {built.bytes / 2**20:.1f} MiB, "
        f"{generation.index_type} of {generation.precision}"
    )


def _queries(generation: Generation, store: CandidateStore, encoders: CandidateEncoders, asked: Asked) -> Vectors:
    """What recall is measured on: recent searches and held-out questions; where few, also made of rows."""
    judged = () if asked.synthetic else asked.judged
    real = _some(list(dict.fromkeys([*asked.recent, *(query.text for query in judged)])))
    questions = encoders.questions(generation, real) if real else None
    if questions is not None and len(questions) >= FEW:
        return questions
    made = questions_of(store.sample(generation, RECALL_QUERIES))
    return made if questions is None else np.concatenate([questions, made])


def _some(texts: list[str]) -> list[str]:
    """Return at most RECALL_QUERIES questions, evenly spread."""
    places = np.linspace(0, len(texts) - 1, min(RECALL_QUERIES, len(texts))).astype(int)
    return [texts[place] for place in np.unique(places)]
