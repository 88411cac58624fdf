"""Calibration against scores whose truth is known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import beta

from vector_assets.index.calibrating import (
    FORMS,
    LEAST_QUESTIONS,
    Marked,
    calibrate,
    cross_validated,
    judge,
    keep,
    lower_bound,
    mark,
    probabilities,
    steps,
)
from vector_assets.records import JudgedQuery
from vector_assets.records.calibration import RISK, Calibrated

HITS = 10


def truth(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """How likely a hit of a score is right, in the worlds below."""
    return 1 / (1 + np.exp(-16 * (scores - 0.5)))


def world(questions: int, seed: int, *, together: float = 0.0, scale: float = 1.0) -> Marked:
    """Draw hits: some questions score high, some low. ``together`` makes hits of a question right or wrong as one."""
    random = np.random.default_rng(seed)
    scores = random.normal(0.58, 0.15, (questions, 1)) - np.abs(random.normal(0, 0.1, (questions, HITS)))
    dice = np.where(random.random((questions, 1)) < together, random.random((questions, 1)), 2.0)
    dice = np.where(dice > 1, random.random((questions, HITS)), dice)
    right = dice < truth(scores)
    return Marked((scale * scores).round(6).ravel(), right.ravel(), np.repeat(np.arange(questions), HITS))


def test_probabilities_are_the_true_ones() -> None:
    found = calibrate(world(2000, 1), method="vector")
    assert found and found.form == "logistic"  # the truth is one, so the staircase cannot do better
    for score in (0.3, 0.4, 0.5, 0.6, 0.75):
        assert found.probability(score) == pytest.approx(float(truth(np.array(score))), abs=0.03)
    assert found.probability(-5) == found.probability(min(score for score, _ in found.knots))
    assert 0.95 < found.probability(5) < 1


def test_a_truth_in_steps_is_followed_by_the_staircase() -> None:
    """As where ranks are fused: scores of few values, whose probabilities follow no curve."""
    random = np.random.default_rng(3)
    steps = np.array([0.05, 0.1, 0.5, 0.52, 0.9])
    place = random.integers(0, 5, (600, HITS))
    right = random.random(place.shape) < steps[place]
    scores = np.array([0.010, 0.012, 0.013, 0.030, 0.033])[place]
    found = calibrate(Marked(scores.ravel(), right.ravel(), np.repeat(np.arange(600), HITS)), method="hybrid")
    assert found and found.form == "isotonic"
    for score, wanted in zip((0.010, 0.012, 0.013, 0.030, 0.033), steps, strict=True):
        assert found.probability(score) == pytest.approx(wanted, abs=0.04)


def test_the_better_form_is_chosen_by_questions_that_it_was_not_fitted_on() -> None:
    marked = world(150, 5)
    found = calibrate(marked, method="vector")
    assert found
    assert dict(found.losses) == {form: cross_validated(marked, fit) for form, fit in FORMS.items()}
    assert found.losses[found.form] == min(found.losses.values())


def test_reliability_on_fresh_questions_and_of_a_calibration_that_lies() -> None:
    found = calibrate(world(1500, 1), method="vector")
    assert found
    fresh = world(1500, 2)
    told = judge(found, fresh)
    assert told.ece < 0.02 and told.questions == 1500 and told.hits == 15_000
    assert [each.hits for each in told.bins] == [1500] * 10
    assert [each.promised for each in told.bins] == sorted(each.promised for each in told.bins)
    lying = Calibrated("vector", "logistic", ((0.0, 0.9), (1.0, 0.9)), (), 1, HITS, {})
    wrong = judge(lying, fresh)
    assert wrong.ece == pytest.approx(abs(0.9 - fresh.right.mean()), abs=0.1) and wrong.ece > 0.2
    by_hand = sum(abs(0.9 - part.mean()) for part in np.split(fresh.right[np.arange(15_000)], 10)) / 10
    assert wrong.ece == pytest.approx(by_hand)
    assert wrong.brier > told.brier


@pytest.mark.parametrize("together", [0.0, 0.9])
def test_a_stated_precision_holds_on_fresh_questions(together: float) -> None:
    """In at most RISK of the worlds a threshold falls short, though hits of a question are right together."""
    fresh = world(20_000, 1000, together=together)
    found = [
        keep(Calibrated("vector", "logistic", (), tuple(steps(world(500, seed, together=together))), 500, HITS, {}),
             fresh, 0.9, questions=20_000)
        for seed in range(40)
    ]  # fmt: skip
    assert sum(each.precision is not None and each.precision < 0.9 for each in found) <= 40 * RISK
    by_score = fresh.right[np.argsort(-fresh.scores)]
    best = np.flatnonzero(by_score.cumsum() >= 0.9 * np.arange(1, len(by_score) + 1)).max()
    assert np.mean([each.answers for each in found]) > 0.5 * best  # and the bound does not cost most of the answers


def test_thresholds_fall_with_the_precision_and_are_none_where_nothing_shows_it() -> None:
    found = calibrate(world(1500, 1), method="vector")
    assert found
    reached = [found.threshold(precision) for precision in (0.5, 0.7, 0.9)]
    assert all(reached) and reached == sorted(reached)  # type: ignore[type-var]
    assert found.threshold(0.9999) is None
    few = calibrate(world(30, 1), method="vector")
    assert few and few.threshold(0.9) is None  # 30 questions cannot show nine in ten
    assert keep(few, world(100, 2), 0.9, questions=100).answers == 0


def test_thresholds_know_nothing_of_what_a_score_is() -> None:
    """The same world in other units: BM25, or a sum of parts. So no number can stand in a declaration."""
    plain, scaled = (calibrate(world(800, 1, scale=scale), method="vector") for scale in (1.0, 20.0))
    assert plain and scaled
    one, other = plain.threshold(0.8), scaled.threshold(0.8)
    assert one and other and other == pytest.approx(20 * one, abs=1e-4)
    assert scaled.probability(10) == pytest.approx(plain.probability(0.5), abs=1e-3)


def test_the_bound_is_the_exact_one_where_answers_are_alone_and_wider_where_they_come_together() -> None:
    alone = lower_bound(np.array([1.0] * 95 + [0.0] * 5), np.ones(100, np.int64), risk=0.05)
    assert alone == pytest.approx(beta.ppf(0.05, 95, 6), abs=0.002)
    together = lower_bound(np.array([10.0] * 95 + [0.0] * 5), np.full(100, 10), risk=0.05)
    assert together == pytest.approx(alone, abs=0.002)  # a thousand answers, but a hundred questions
    all_right = lower_bound(np.full(50, 4.0), np.full(50, 4), risk=0.05)
    assert all_right == pytest.approx(0.05 ** (1 / 50))
    assert lower_bound(np.zeros(9), np.ones(9, np.int64), risk=0.05) == 0.0


def test_few_questions_say_nothing_and_one_sided_ones_are_never_certain() -> None:
    assert calibrate(world(LEAST_QUESTIONS - 1, 1), method="vector") is None
    assert calibrate(mark({}, []), method="vector") is None
    for right in (True, False):
        ones = np.arange(30)
        found = calibrate(Marked(np.full(30, 0.7), np.full(30, right), ones), method="vector")
        assert found
        assert (found.probability(0.7) > 0.9) is right and 0 < found.probability(0.7) < 1
    backwards = world(500, 1)
    upside_down = calibrate(Marked(-backwards.scores, backwards.right, backwards.question), method="vector")
    assert upside_down and [p for _, p in upside_down.knots] == sorted(p for _, p in upside_down.knots)


def test_hits_are_marked_by_their_judgements_up_to_the_depth() -> None:
    judged = [JudgedQuery("a", "", {"x": 1.0, "y": 0.0}), JudgedQuery("b", "", {"z": 2.0}), JudgedQuery("c", "", {})]
    found = {"a": [("y", 0.9), ("x", 0.80000004), ("q", 0.1)], "b": [("z", 0.5)]}
    marked = mark(found, judged, depth=2)
    assert marked.scores.tolist() == [0.9, 0.8, 0.5]
    assert marked.right.tolist() == [False, True, True]
    assert marked.question.tolist() == [0, 0, 1] and marked.questions == 2


def test_what_is_kept_is_what_was_found() -> None:
    found = calibrate(world(300, 1), method="hybrid/rrf")
    assert found
    fresh = world(300, 2)
    told = Calibrated.of(json.loads(json.dumps(found.record())))
    assert told == found
    scores = fresh.scores[:200]
    assert [told.probability(score) for score in scores] == pytest.approx(probabilities(found.knots, scores).tolist())
