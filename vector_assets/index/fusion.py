"""Two rankings made one: by places (RRF), or by a weighted sum whose weight questions with known answers decide.

Reciprocal rank fusion: Cormack, Clarke and Buettcher, "Reciprocal rank fusion outperforms Condorcet and individual rank
learning methods", SIGIR 2009. A row scores the sum of 1 / (RRF_K + place) over the lists that it stands in.

The weighted sum: Bruch, Gai and Ingber, "An analysis of fusion functions for hybrid retrieval", ACM TOIS 2023. A row
scores (1 - w) cosine / s + w bm25 / t. They scale by each question's own range; here s and t are the mean spreads of
the scores on the questions that w was learned from. Measured, that is as good or better, and a row's score then
depends on nothing but the row and the question. A row that the vectors did not find counts as the last one that they
did, and one without any of the words as 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vector_assets.metrics import Rankings, ndcg_at_k

#: How fast places lose weight. 60 in the paper; 10 is better by nDCG@10 on what SciFact and python_functions hold for
#: learning, and with 60 the latter falls below its vectors.
RRF_K = 10
#: So many rows of each part are looked at, or as many as are asked for.
DEPTH = 100
#: With fewer questions nothing is learned.
LEAST_QUESTIONS = 20
METRIC = "ndcg@10"

_WEIGHTS = np.linspace(0, 1, 21)
_FOLDS = 5

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """What each part found for one question: row keys and scores, best first. ``relevant``: its known answers."""

    id: str
    vector: Sequence[tuple[str, float]]
    bm25: Sequence[tuple[str, float]]
    relevant: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Fusion:
    """A learned weighted sum. ``weight`` is that of BM25, 0 to 1: at 0 the vectors alone rank, at 1 BM25 alone.

    ``scores`` are means of nDCG@10 on the questions that it was learned from: of each part, of RRF, and of the sum,
    each question by the weight that the other folds chose.
    """

    weight: float
    vector_scale: float
    bm25_scale: float
    questions: int
    scores: Mapping[str, float]
    reason: str

    def record(self) -> dict[str, object]:
        """As it is kept in Postgres."""
        return asdict(self) | {"scores": dict(self.scores)}

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Fusion:
        """Read what ``record`` wrote; keys that are not of it are left out."""
        return cls(**{name: record[name] for name in cls.__slots__})


def by_places(found: Found) -> list[tuple[str, float]]:
    """Return the rows of both parts with their RRF scores, best first, ties by key."""
    scores: dict[str, float] = {}
    for part in (found.vector, found.bm25):
        for place, (key, _) in enumerate(part, start=1):
            scores[key] = scores.get(key, 0.0) + 1 / (RRF_K + place)
    return sorted(scores.items(), key=lambda one: (-one[1], one[0]))


def fused_rankings(vector: Rankings, bm25: Rankings) -> dict[str, list[str]]:
    """Fuse two rankings of each question by places: row keys, best first, ties by key."""
    found = {}
    for query in dict.fromkeys([*vector, *bm25]):
        parts = [[(key, 0.0) for key in dict.fromkeys(part.get(query, ()))] for part in (vector, bm25)]
        found[query] = [key for key, _ in by_places(Found(query, parts[0], parts[1], {}))]
    return found


def by_sum(found: Found, fusion: Fusion) -> list[tuple[str, float]]:
    """Return the rows of both parts with their weighted sums, best first, ties by key."""
    rows = _Rows.of(found)
    scores = rows.sums(fusion.weight, fusion.vector_scale, fusion.bm25_scale)
    return sorted(zip(rows.keys, scores.tolist(), strict=True), key=lambda one: (-one[1], one[0]))


def fit(asked: Sequence[Found]) -> Fusion | None:
    """Choose the weight by nDCG@10; None where fewer than LEAST_QUESTIONS have an answer that either part found.

    The better part alone is taken where the sum does not beat it on questions that its weight was not chosen on, by
    more than the standard error of the difference: what is not clearly better may be worse.
    """
    asked = [found for found in asked if found.relevant]
    if sum(_answered(found) for found in asked) < LEAST_QUESTIONS:
        return None
    rows = [_Rows.of(found) for found in asked]
    scales = _spread([one.vector for one in rows]), _spread([one.bm25 for one in rows])
    table = np.array([[one.ndcg(one.sums(weight, *scales)) for weight in _WEIGHTS] for one in rows])
    alone = {
        "vector": _mean(asked, lambda one: one.vector),
        "bm25": _mean(asked, lambda one: one.bm25),
        "rrf": _mean(asked, by_places),
    }
    held_out = _cross_validated(table, np.array([_fold(found.id) for found in asked]))
    means = {name: float(each.mean()) for name, each in alone.items()} | {"calibrated": float(held_out.mean())}
    better = "vector" if means["vector"] >= means["bm25"] else "bm25"
    gains = held_out - alone[better]
    error = float(gains.std(ddof=1) / np.sqrt(len(gains)))
    if gains.mean() > error:
        weight = float(_WEIGHTS[_best(table.mean(axis=0))])
        reason = f"the sum beats {better} alone by {gains.mean():.4f} on questions that it was not chosen on"
    else:
        weight = 0.0 if better == "vector" else 1.0
        reason = f"{better} alone: the sum differs from it by {gains.mean():+.4f}, standard error {error:.4f}"
    return Fusion(round(weight, 2), *scales, len(asked), means, reason)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The union of both parts: (n,) scores with what is missing filled in, (n,) gains, the best possible gain."""

    keys: list[str]
    vector: Numbers
    bm25: Numbers
    relevant: Mapping[str, float]

    @classmethod
    def of(cls, found: Found) -> _Rows:
        vector, bm25 = dict(found.vector), dict(found.bm25)
        keys = sorted(vector.keys() | bm25.keys())
        last = min(vector.values(), default=0.0)
        return cls(
            keys, np.array([vector.get(key, last) for key in keys]), np.array([bm25.get(key, 0.0) for key in keys]),
            found.relevant,
        )  # fmt: skip

    def sums(self, weight: float, vector_scale: float, bm25_scale: float) -> Numbers:
        return (1 - weight) * self.vector / vector_scale + weight * self.bm25 / bm25_scale

    def ndcg(self, scores: Numbers) -> float:
        first = np.argsort(-scores, kind="stable")[:10]  # of equals the lower key: they are sorted
        return ndcg_at_k([self.keys[place] for place in first], self.relevant, 10)


def _answered(found: Found) -> bool:
    return any(found.relevant.get(key, 0.0) > 0 for key, _ in (*found.vector, *found.bm25))


def _mean(asked: Sequence[Found], part: Callable[[Found], Sequence[tuple[str, float]]]) -> Numbers:
    """Return nDCG@10 of each question by one ranking."""
    return np.array([ndcg_at_k([key for key, _ in part(found)], found.relevant, 10) for found in asked])


def _spread(scores: Sequence[Numbers]) -> float:
    """Return the mean standard deviation of a part's scores within a question; 1 where they never differ."""
    return float(np.mean([each.std() for each in scores if len(each)])) or 1.0


def _cross_validated(table: Numbers, folds: NDArray[np.int64]) -> Numbers:
    """Return each question's score by the weight that is best on the other folds; ``table`` is (questions, weights)."""
    scores = np.zeros(len(table))
    for fold in np.unique(folds):
        inside = folds == fold
        others = table[~inside] if not inside.all() else table
        scores[inside] = table[inside, _best(others.mean(axis=0))]
    return scores


def _best(means: Numbers) -> int:
    """Return the place of the best mean; of equals the one nearest to the middle."""
    tied = np.flatnonzero(means >= means.max() - 1e-12)
    return int(tied[np.argmin(np.abs(_WEIGHTS[tied] - 0.5))])


def _fold(query: str) -> int:
    """A question stays in its fold, whatever else is asked."""
    return int(hashlib.sha256(query.encode()).hexdigest()[:8], 16) % _FOLDS
