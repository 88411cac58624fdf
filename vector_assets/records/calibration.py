"""What the score of a method means: how likely a hit is right, and from which score on enough of them are."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Form = Literal["isotonic", "logistic"]

#: Places behind the point that scores are compared with: two ways of summing a cosine in float32 agree so far.
PLACES = 6
#: A stated precision fails to hold for one collection in twenty, at most.
RISK = 0.05
#: From so many places the steps are walked down, each at its share of the risk.
STARTS = 4


@dataclass(frozen=True, slots=True)
class Step:
    """What calibration found at ``score`` and above.

    ``answers`` hits, ``right`` of them right, of ``questions`` questions. ``low`` is the lower bound of the share that
    is right, by questions, at a risk of ``RISK / STARTS``.
    """

    score: float
    answers: int
    right: int
    questions: int
    low: float


@dataclass(frozen=True, slots=True)
class Bin:
    """A tenth of the hits by what was promised of them: the mean probability, and the share that was right."""

    promised: float
    right: float
    hits: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """What a calibration promised on other questions than its own, against what was found there.

    ``ece`` is the expected calibration error: the mean distance of promised from right over ten bins of equally many
    hits. ``brier`` is the mean squared distance of single hits, which also punishes vagueness.
    """

    ece: float
    brier: float
    hits: int
    questions: int
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """One method's scores of one generation, calibrated on questions with known answers.

    ``method`` names what scored: another fusion of the same parts is another one. ``knots`` are (score, probability)
    by rising score, straight lines between them; ``steps`` by falling score. ``losses`` are those of either form by
    cross-validation, ``form`` the better one. The first ``depth`` hits of each question were looked at.
    """

    method: str
    form: Form
    knots: tuple[tuple[float, float], ...]
    steps: tuple[Step, ...]
    questions: int
    depth: int
    losses: Mapping[str, float]
    reliability: Reliability | None = None

    def probability(self, score: float) -> float:
        """Return how likely a hit of this score is right."""
        score = round(score, PLACES)
        place = bisect_right(self.knots, (score, 2.0))
        if place == 0:
            return self.knots[0][1]
        if place == len(self.knots):
            return self.knots[-1][1]
        (left, low), (right, high) = self.knots[place - 1 : place + 1]
        return low + (high - low) * (score - left) / (right - left)

    def threshold(self, precision: float) -> float | None:
        """Return the lowest score from which on at least this share of hits is right, None where none shows it.

        Steps are tested in an order that was fixed before (Angelopoulos et al., "Learn then Test", 2021): downwards
        from STARTS places, each until the first that does not show the precision; so whichever step is returned, it
        holds but for RISK. A step that could not show it even if all its hits were right is no place to start.
        """
        able = [n for n, step in enumerate(self.steps) if (RISK / STARTS) ** (1 / step.questions) >= precision]
        reached = None
        for start in dict.fromkeys(able[len(able) * number // STARTS] for number in range(STARTS) if able):
            for place in range(start, len(self.steps)):
                if self.steps[place].low < precision:
                    break
                reached = place if reached is None else max(reached, place)
        return None if reached is None else self.steps[reached].score

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self)

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Calibrated:
        """Read what ``record`` wrote."""
        found = record["reliability"]
        reliability = Reliability(**{**found, "bins": tuple(Bin(**each) for each in found["bins"])}) if found else None
        knots: Sequence[Sequence[float]] = record["knots"]
        return cls(
            **{
                **record,
                "knots": tuple((float(score), float(probability)) for score, probability in knots),
                "steps": tuple(Step(**each) for each in record["steps"]),
                "reliability": reliability,
            }
        )


@dataclass(frozen=True, slots=True)
class Floor:
    """What was asked of answers, and what stands in their way: ``precision`` of them are right from ``score`` on.

    ``score`` is None where no score showed that precision; ``best`` is that of the best hit, None where there was none.
    """

    precision: float
    score: float | None
    best: float | None

    @property
    def why(self) -> str:
        """Say why there is no answer, with what it would have taken."""
        share = f"{100 * self.precision:g} %"
        if self.best is None:
            return "no answer (nothing was found)"
        if self.score is None:
            return f"no answer (from no score on were {share} of answers shown to be right; ask for a lower precision)"
        return (
            f"no answer (best score {self.best:.4g} is below {self.score:.4g}, the score from which {share} of answers "
            "are right)"
        )
