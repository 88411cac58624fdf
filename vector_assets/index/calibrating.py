"""Calibration: what the scores of a method mean, learned from questions with known answers. Pure numpy and sklearn.

Two forms are fitted, a logistic curve (Platt 1999) and a rising staircase (isotonic regression, Zadrozny and Elkan
2002), and the one with the lower log loss on questions that it was not fitted on is kept. Hits of one question are
never on both sides, and count as one where uncertainty is stated: they are right or wrong together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vector_assets.records import JudgedQuery
from vector_assets.records.calibration import PLACES, RISK, STARTS, Bin, Calibrated, Form, Reliability, Step

Numbers = NDArray[np.float64]
Scored = Mapping[str, Sequence[tuple[str, float]]]  # query id to row keys with their scores, best first
Knots = tuple[tuple[float, float], ...]

DEPTH = 10
#: With fewer questions nothing is said.
LEAST_QUESTIONS = 20
BINS = 10
_FOLDS = 5
_STEPS = 40
_FIRST_STEP = 10
_CURVE_KNOTS = 65


@dataclass(frozen=True, slots=True)
class Marked:
    """Hits with what is known of them: (n,) scores, whether each is right, the number of its question."""

    scores: Numbers
    right: NDArray[np.bool_]
    question: NDArray[np.int64]

    @property
    def questions(self) -> int:
        """How many questions found something."""
        return len(np.unique(self.question))

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Marked:
        """Return some of the hits."""
        return Marked(self.scores[chosen], self.right[chosen], self.question[chosen])


def mark(found: Scored, judged: Sequence[JudgedQuery], *, depth: int = DEPTH) -> Marked:
    """Put the first hits of all questions in one row. What nobody judged counts as wrong."""
    hits = [
        (round(score, PLACES), query.relevant.get(key, 0.0) > 0, number)
        for number, query in enumerate(judged)
        for key, score in list(found.get(query.id, ()))[:depth]
    ]
    scores, right, question = zip(*hits, strict=True) if hits else ((), (), ())
    return Marked(np.array(scores, np.float64), np.array(right, np.bool_), np.array(question, np.int64))


def calibrate(marked: Marked, *, method: str, depth: int = DEPTH) -> Calibrated | None:
    """Learn what scores mean; None where fewer than LEAST_QUESTIONS questions found anything."""
    if marked.questions < LEAST_QUESTIONS:
        return None
    losses: dict[str, float] = {form: cross_validated(marked, fit) for form, fit in FORMS.items()}
    form: Form = "isotonic" if losses["isotonic"] < losses["logistic"] else "logistic"
    return Calibrated(
        method, form, FORMS[form](marked), tuple(steps(marked)), marked.questions, depth, losses
    )  # fmt: skip


def cross_validated(marked: Marked, fit: Callable[[Marked], Knots]) -> float:
    """Return the mean log loss of hits whose question was held out of the fit."""
    names, members = np.unique(marked.question, return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(names))[members] % _FOLDS
    promised = np.empty(len(marked.scores))
    for number in range(_FOLDS):
        promised[fold == number] = probabilities(fit(marked[fold != number]), marked.scores[fold == number])
    return float(-np.log(np.where(marked.right, promised, 1 - promised)).mean())


def probabilities(knots: Knots, scores: Numbers) -> Numbers:
    """Return the probability at each score, as ``Calibrated.probability`` does of one."""
    rising, values = np.array(knots, np.float64).T
    found: Numbers = np.interp(scores, rising, values)
    return found


def fit_isotonic(marked: Marked) -> Knots:
    """Fit a rising staircase."""
    from sklearn.isotonic import IsotonicRegression

    scores, right = _unsure(marked)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(scores, right)
    return tuple(zip(fitted.X_thresholds_.tolist(), fitted.y_thresholds_.tolist(), strict=True))


def fit_logistic(marked: Marked) -> Knots:
    """Fit a logistic curve, kept as points on it; beyond the scores that were seen it is level."""
    from sklearn.linear_model import LogisticRegression

    scores, right = _unsure(marked)
    low, spread = float(scores.min()), float(np.ptp(scores)) or 1.0
    fitted = LogisticRegression(C=1e6, max_iter=1000).fit((scores[:, None] - low) / spread, right)
    places = np.linspace(0, 1, _CURVE_KNOTS)
    values = fitted.predict_proba(places[:, None])[:, 1]
    if values[-1] < values[0]:  # a higher score is never worse news: such a method says nothing
        values = np.full(len(places), right.mean())
    return tuple(zip((low + spread * places).tolist(), values.tolist(), strict=True))


FORMS: Mapping[Form, Callable[[Marked], Knots]] = {"logistic": fit_logistic, "isotonic": fit_isotonic}


def _unsure(marked: Marked) -> tuple[Numbers, Numbers]:
    """Add a wrong hit at the best score and a right one at the worst, so that nothing is ever certain."""
    return (
        np.concatenate([marked.scores, [marked.scores.max(), marked.scores.min()]]),
        np.concatenate([marked.right, [0.0, 1.0]]),
    )


def steps(marked: Marked) -> Iterator[Step]:
    """Yield cuts by falling score, at counts of hits that grow evenly in their logarithm."""
    order = np.argsort(-marked.scores, kind="stable")
    scores = marked.scores[order]
    counts = np.geomspace(min(_FIRST_STEP, len(scores)), len(scores), _STEPS).round().astype(int)
    for score in dict.fromkeys(scores[count - 1] for count in counts):
        above = marked[marked.scores >= score]
        answers = np.bincount(above.question).astype(np.int64)
        right = np.bincount(above.question, weights=above.right).astype(np.float64)
        low = lower_bound(right, answers, risk=RISK / STARTS)
        yield Step(float(score), int(answers.sum()), int(right.sum()), int((answers > 0).sum()), low)


def lower_bound(right: Numbers, answers: NDArray[np.int64], *, risk: float) -> float:
    """Return the share of right answers, at least, but for a risk; both counts by question.

    Clopper and Pearson's exact bound on as many independent answers as these are worth (Korn and Graubard 1998): the
    answers of a question are right or wrong together. Where all are right they are worth one a question.
    """
    from scipy.stats import beta

    asked = answers > 0
    right, answers = right[asked], answers[asked]
    total, questions = float(answers.sum()), len(answers)
    share = float(right.sum()) / total
    if share == 0:
        return 0.0
    worth = float(questions)
    if share < 1 and questions > 1:
        spread = float(((right - share * answers) ** 2).sum()) * questions / (questions - 1) / total**2
        worth = min(total, share * (1 - share) / spread) if spread else total
    return float(beta.ppf(risk, share * worth, (1 - share) * worth + 1))


def judge(calibrated: Calibrated, marked: Marked) -> Reliability:
    """Hold what was promised against other questions than it was learned from."""
    promised = probabilities(calibrated.knots, marked.scores)
    order = np.argsort(promised, kind="stable")
    bins = tuple(
        Bin(float(promised[some].mean()), float(marked.right[some].mean()), len(some))
        for some in np.array_split(order, BINS)
        if len(some)
    )
    hits = len(promised)
    return Reliability(
        ece=sum(each.hits * abs(each.promised - each.right) for each in bins) / max(hits, 1),
        brier=float(((promised - marked.right) ** 2).mean()) if hits else 0.0,
        hits=hits,
        questions=marked.questions,
        bins=bins,
    )


@dataclass(frozen=True, slots=True)
class Kept:
    """A stated precision against what is found with its threshold.

    ``precision`` is the share of right hits among the ``answers``, None without any; ``answered`` is the share of
    questions that get an answer.
    """

    stated: float
    threshold: float | None
    precision: float | None
    answers: int
    answered: float


def keep(calibrated: Calibrated, marked: Marked, precision: float, *, questions: int) -> Kept:
    """Leave out hits below the threshold of a stated precision, and look at what is left."""
    threshold = calibrated.threshold(precision)
    if threshold is None:
        return Kept(precision, None, None, 0, 0.0)
    left = marked[marked.scores >= threshold]
    found = float(left.right.mean()) if len(left.scores) else None
    return Kept(precision, threshold, found, len(left.scores), left.questions / max(questions, 1))
