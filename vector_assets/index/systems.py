"""Several ways to answer the same questions, side by side: means with intervals, and each pair tested."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from vector_assets.metrics import EVALUATED, Rankings, Scores, bootstrap_interval, holm, paired_bootstrap, score
from vector_assets.records import Comparison, JudgedQuery


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean over questions with its 95 % interval, by resampling questions."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class System:
    """One way to answer: a method of the live generation, or an exact scan of a generation.

    ``scores`` holds one number a question for each metric, in the order of the questions.
    """

    name: str
    rankings: Rankings
    scores: Mapping[str, Scores]
    means: Mapping[str, Mean]


@dataclass(frozen=True, slots=True)
class Tested:
    """Two systems on the same questions. ``p_holm`` is p, corrected for all pairs that were tested beside it."""

    old: str
    new: str
    comparison: Comparison
    p_holm: float

    def record(self) -> dict[str, Any]:
        """Return it as JSON values: what compares the two beside their names."""
        found = asdict(self.comparison)
        names = {"old_mean": found.pop("old"), "new_mean": found.pop("new")}
        return {"old": self.old, "new": self.new, **names, **found, "p_holm": self.p_holm}


def system(name: str, rankings: Rankings, judged: Sequence[JudgedQuery]) -> System:
    """Score one way to answer by every metric that is reported."""
    scores = {metric: score(rankings, judged, metric) for metric in EVALUATED}
    means = {metric: Mean(float(each.mean()), *bootstrap_interval(each)) for metric, each in scores.items()}
    return System(name, rankings, scores, means)


def compare_pairs(systems: Sequence[System], metric: str) -> tuple[Tested, ...]:
    """Compare each pair of systems by a paired bootstrap of one metric, corrected by Holm for their number."""
    pairs = list(combinations(systems, 2))
    found = [paired_bootstrap(old.scores[metric], new.scores[metric], metric=metric) for old, new in pairs]
    corrected = holm([each.p for each in found])
    return tuple(
        Tested(old.name, new.name, comparison, p)
        for (old, new), comparison, p in zip(pairs, found, corrected, strict=True)
    )


def per_query(systems: Sequence[System], judged: Sequence[JudgedQuery]) -> Iterator[dict[str, Any]]:
    """Yield a line for each question and system: ids, every metric, and the rows found, best first."""
    for number, query in enumerate(judged):
        for each in systems:
            metrics = {metric: float(scores[number]) for metric, scores in each.scores.items()}
            found = list(dict.fromkeys(each.rankings.get(query.id, ())))
            yield {"query": query.id, "method": each.name, **metrics, "found": found}
