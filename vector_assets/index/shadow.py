"""What a swap would change for people: recent questions asked of both generations. Reported, never deciding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vector_assets.metrics import Rankings

DEPTH = 10
_RANKED = 100
_P = 0.9  # the weight of a rank against the one before it: 86 % of it is on the first ten


@dataclass(frozen=True, slots=True)
class Shadow:
    """Means over the questions, old generation against new. ``rank_change`` is over the rows in either's first ten.

    ``overlap`` is the share of the first ten that both have, ``top1`` how often the first is the same, ``rbo``
    rank-biased overlap. A row that the other generation does not find among its first 100 counts as its 101st.
    """

    questions: int
    overlap: float
    top1: float
    rank_change: float
    rbo: float

    @property
    def words(self) -> str:
        """In a sentence, for the decision."""
        return (
            f"on {self.questions} recent questions live and candidate share {self.overlap:.0%} of the first ten, the "
            f"first is the same in {self.top1:.0%}, a row moves {self.rank_change:.1f} places"
        )

    @property
    def numbers(self) -> Mapping[str, float]:
        """For tables."""
        return {
            "questions": self.questions,
            "overlap@10": self.overlap,
            "top1_agreement": self.top1,
            "rank_change": self.rank_change,
            "rbo": self.rbo,
        }


def compare_shadow(old: Rankings, new: Rankings, ids: Sequence[str]) -> Shadow | None:
    """Compare the first 100 places of some questions' rankings; None when there is no question."""
    if not ids:
        return None
    pairs = [(old.get(each, ())[:_RANKED], new.get(each, ())[:_RANKED]) for each in ids]
    count = len(pairs)
    return Shadow(
        questions=count,
        overlap=sum(_overlap(a[:DEPTH], b[:DEPTH]) for a, b in pairs) / count,
        top1=sum(a[:1] == b[:1] for a, b in pairs) / count,
        rank_change=sum(_rank_change(a, b) for a, b in pairs) / count,
        rbo=sum(rank_biased_overlap(a, b) for a, b in pairs) / count,
    )


def rank_biased_overlap(one: Sequence[str], other: Sequence[str], *, p: float = _P) -> float:
    """RBO extrapolated from the depth that both reach (Webber, Moffat and Zobel, TOIS 2010, equation 30): 0 to 1."""
    depth = min(len(one), len(other))
    if not depth:
        return float(len(one) == len(other))
    seen: tuple[set[str], set[str]] = (set(), set())
    shared, total = 0, 0.0
    for rank in range(1, depth + 1):
        a, b = one[rank - 1], other[rank - 1]
        shared += (a == b) or (a in seen[1]) + (b in seen[0])
        seen[0].add(a)
        seen[1].add(b)
        total += shared / rank * p**rank
    return shared / depth * p**depth + (1 - p) / p * total


def _overlap(one: Sequence[str], other: Sequence[str]) -> float:
    longest = max(len(one), len(other))
    return len(set(one) & set(other)) / longest if longest else 1.0


def _rank_change(one: Sequence[str], other: Sequence[str]) -> float:
    ranks = [{key: rank for rank, key in enumerate(each, start=1)} for each in (one, other)]
    shown = {*one[:DEPTH], *other[:DEPTH]}
    missing = 1 + max(_RANKED, len(one), len(other))
    moved = [abs(ranks[0].get(key, missing) - ranks[1].get(key, missing)) for key in shown]
    return sum(moved) / len(moved) if moved else 0.0
