"""Pairs of a log of clicks: on a simulated log, whose relevance and position bias are known, and by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kendalltau

from vector_assets.errors import SourceError
from vector_assets.source.clicks import Impression
from vector_assets.spec import Clicks
from vector_assets.training.clicks import ClickedPair, FromClicks, pairs_from_clicks, positions_of
from vector_assets.training.propensities import estimate_propensities

#: How likely each of eight positions is looked at, in the simulation.
TRUE = np.array([1.0, 0.7, 0.52, 0.41, 0.33, 0.26, 0.2, 0.15])
QUERIES, DOCUMENTS = 40, len(TRUE)
TOLERANCE = 0.06


class Simulated:
    """Lists of a ranker of some worth, a little different each time, and clicks by the position-based model."""

    def __init__(self, lists: int, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        self.relevance = generator.uniform(0.05, 0.9, (QUERIES, DOCUMENTS))
        believed = self.relevance + generator.normal(0, 0.35, self.relevance.shape)
        scores = believed[:, None] + generator.normal(0, 0.25, (QUERIES, lists, DOCUMENTS))
        self.order = np.argsort(-scores, axis=2)  # (queries, lists, positions)
        chance = np.take_along_axis(np.broadcast_to(self.relevance[:, None], scores.shape), self.order, 2) * TRUE
        self.clicked = generator.random(chance.shape) < chance

    def impressions(self) -> Iterator[Impression]:
        for query in range(QUERIES):
            for number, (documents, clicks) in enumerate(zip(self.order[query], self.clicked[query], strict=True)):
                for position, (document, click) in enumerate(zip(documents, clicks, strict=True), start=1):
                    yield Impression(f"q{query}", f"[{document}]", position, bool(click), f"{query}/{number}")

    def agreement(self, found: NDArray[np.float64]) -> float:
        """Mean of Kendall's tau with the true relevance, over queries."""
        return float(np.mean([kendalltau(a, b).statistic for a, b in zip(found, self.relevance, strict=True)]))


def _weights(found: FromClicks) -> NDArray[np.float64]:
    weights = np.zeros((QUERIES, DOCUMENTS))
    for pair in found.pairs:
        weights[int(pair.query[1:]), int(pair.key[1:-1])] = pair.weight
    return weights


@pytest.fixture(scope="module")
def simulated() -> Simulated:
    return Simulated(lists=300)


@pytest.fixture(scope="module")
def found(simulated: Simulated) -> FromClicks:
    return pairs_from_clicks(simulated.impressions(), Clicks(file="log.csv"), "log.csv")


def test_propensities_are_recovered_and_a_click_rate_does_not(simulated: Simulated, found: FromClicks) -> None:
    positions = positions_of(found.report)
    assert [one["position"] for one in positions] == list(range(1, DOCUMENTS + 1))
    recovered = np.array([one["propensity"] for one in positions], float)
    assert np.abs(recovered - TRUE).max() < TOLERANCE
    # The ranker puts good rows first, so that clicks by position show its worth and the bias together.
    rates = simulated.clicked.mean(axis=(0, 1))
    assert np.abs(rates / rates[0] - TRUE).max() > 1.5 * TOLERANCE


def test_pairs_rank_rows_by_relevance_better_than_click_rates_do(simulated: Simulated, found: FromClicks) -> None:
    shown, clicks = np.zeros((2, QUERIES, DOCUMENTS))
    query = np.broadcast_to(np.arange(QUERIES)[:, None, None], simulated.order.shape)
    np.add.at(shown, (query, simulated.order), 1)
    np.add.at(clicks, (query, simulated.order), simulated.clicked)
    ours, naive = simulated.agreement(_weights(found)), simulated.agreement(clicks / shown)
    wanted = naive + 0.05
    assert ours > wanted and ours > 0.8 and not naive > wanted
    assert (
        np.abs(_weights(found) - simulated.relevance).mean()
        < 0.06
        < np.abs(clicks / shown - simulated.relevance).mean()
    )


def test_rows_that_were_seen_only_a_few_times_do_not_bias_the_estimate() -> None:
    """Each row is shown twice: relevances cannot be fitted beside the propensities, and need not be."""
    generator = np.random.default_rng(3)
    rows = np.repeat(np.arange(60_000), 2)
    positions = generator.integers(1, DOCUMENTS + 1, len(rows))
    clicked = generator.random(len(rows)) < generator.uniform(0.05, 0.9, 60_000)[rows] * TRUE[positions - 1]
    estimated = estimate_propensities(rows, positions, clicked)
    assert max(abs(estimated[place] - TRUE[place - 1]) for place in estimated) < TOLERANCE


def test_the_order_of_the_log_is_nothing(found: FromClicks, simulated: Simulated) -> None:
    lines = list(simulated.impressions())
    other = pairs_from_clicks(random.Random(0).sample(lines, len(lines)), Clicks(file="log.csv"), "log.csv")
    assert sorted(other.pairs, key=repr) == sorted(found.pairs, key=repr) and other.report == found.report


def test_two_positions_by_hand() -> None:
    """Ten times at each of two positions, clicked 8 and 4 times: the second is looked at half as often."""
    lines = [Impression("q", "[1]", place, n < clicks) for place, clicks in ((1, 8), (2, 4)) for n in range(10)]
    made = pairs_from_clicks([*lines, Impression(" ", "[1]", 1, True)], Clicks(table="log"), "log")
    assert [one["propensity"] for one in positions_of(made.report)] == [1.0, pytest.approx(0.5)]
    assert made.pairs == (ClickedPair("q", "[1]", pytest.approx((8 * 1 + 4 * 2) / 20), (), None),)  # type: ignore[arg-type]
    assert made.report["empty_query_lines"] == 1 and made.report["impressions"] == 20 and made.report["clicks"] == 12
    clipped = pairs_from_clicks(lines, Clicks(table="log", max_weight=1.5), "log")
    assert clipped.pairs[0].weight == pytest.approx((8 * 1 + 4 * 1.5) / 20)
    declared = pairs_from_clicks(lines, Clicks(table="log", propensities=[0.5, 0.25]), "log")
    assert declared.pairs[0].weight == pytest.approx((8 * 2 + 4 * 4) / 20)
    only_first = pairs_from_clicks(lines, Clicks(table="log", propensities=[1.0]), "log")
    assert only_first.pairs[0].weight == pytest.approx(0.8), "what was shown at an unknown position says nothing"
    assert only_first.report["unknown_position_lines"] == 10


def test_rows_skipped_above_a_click_and_never_clicked_are_hard_negatives() -> None:
    declared = {"table": "log", "propensities": [1, 1, 1, 1], "min_impressions": 1}

    def shown(session: str, query: str, *clicks: str) -> list[Impression]:
        rows = ("a", "b", "c", "d")
        return [Impression(query, row, place, row in clicks, session) for place, row in enumerate(rows, start=1)]

    lines = [*shown("1", "q", "c"), *shown("2", "q", "b"), *shown("2", "other", "d"), *shown("3", "none")]
    pairs = {
        (pair.query, pair.key): pair.negatives for pair in pairs_from_clicks(lines, Clicks(**declared), "log").pairs
    }  # type: ignore[arg-type]
    # a was skipped twice for q; b was skipped once but clicked in another list; d never stood above a click.
    assert pairs == {("q", "c"): ("a",), ("q", "b"): ("a",), ("other", "d"): ("a", "b", "c")}
    few = pairs_from_clicks(lines, Clicks(**declared | {"max_negatives": 2}), "log")  # type: ignore[arg-type]
    assert few.pairs[-1].negatives == ("a", "b")
    alone = pairs_from_clicks(
        [Impression(*(i.query, i.shown, i.position, i.clicked)) for i in lines], Clicks(**declared), "log"
    )  # type: ignore[arg-type]
    assert not any(pair.negatives for pair in alone.pairs), "without sessions nobody knows what stood in one list"


def test_a_pair_was_shown_often_enough_and_has_the_time_of_its_newest_line() -> None:
    start = datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC)
    lines = [
        Impression("q", "[1]", 1 + n % 2, n in (0, 1, 2), "", start + timedelta(days=n)) for n in range(10)
    ] + [Impression("q", "[2]", 1, True, "", start)] * 9  # fmt: skip
    made = pairs_from_clicks(lines, Clicks(table="log"), "log")
    assert [(pair.key, pair.time) for pair in made.pairs] == [("[1]", start + timedelta(days=9))]
    assert made.report["few_impressions"] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "log: has no line with a query; expected query, shown, position, clicked"),
        (
            [Impression("q", f"[{row}]", row, True) for row in (1, 2)] * 20,
            "log: no row was clicked at two positions for one query, so how much a high place helped cannot be told "
            "from how good the row is; expected a log in which places vary, or clicks.propensities",
        ),
        (
            [Impression("q", "[1]", place, True) for place in (1, 2)],
            "log: no row was clicked for a query and shown for it 10 times or more (1 were shown less often); expected "
            "more clicks, or lower min_impressions",
        ),
    ],
)
def test_a_log_that_tells_nothing_is_refused(lines: list[Impression], message: str) -> None:
    with pytest.raises(SourceError) as caught:
        pairs_from_clicks(lines, Clicks(table="log"), "log")
    assert str(caught.value) == message


def test_positions_that_cannot_be_compared_are_not_guessed() -> None:
    """1 and 2 are compared by a row of their own; 5 and 6 by another, shown less often; 3 was never clicked."""
    log = [(0, 1, 9, 6), (0, 2, 9, 3), (1, 5, 4, 2), (1, 6, 4, 2), (0, 3, 50, 0)]
    rows, positions, clicked = (
        np.concatenate(parts)
        for parts in zip(
            *((np.full(n, row), np.full(n, place), np.arange(n) < clicks) for row, place, n, clicks in log), strict=True
        )
    )
    assert estimate_propensities(rows, positions, clicked) == {1: 1.0, 2: pytest.approx(0.5)}
