"""MAP at each level of labels that are paths, by hand."""

from __future__ import annotations

from itertools import permutations

import pytest

from vector_assets.index.levels import Level, chance, level_scores
from vector_assets.metrics import average_precision
from vector_assets.spec import Collection

LABELS = {"a": "animal/dog/pug", "b": "animal / dog/ husky", "c": "animal/cat", "d": "plant/tree", "e": "plant/tree/"}
RANKINGS = {
    "a": ["c", "b", "d", "e"],
    "b": ["a", "c", "d", "e"],
    "c": ["d", "a", "b", "e"],
    "d": ["e", "a", "b", "c"],
    "e": ["a", "d", "b", "c"],
}


def test_average_precision_at_each_level_by_hand() -> None:
    found = level_scores(RANKINGS, LABELS, separator="/")
    # animal or plant: a and b find both others first; c after one wrong: (1/2 + 2/3) / 2; d at once, e after one wrong.
    first = (1 + 1 + (1 / 2 + 2 / 3) / 2 + 1 + 1 / 2) / 5
    # dog, cat, tree: a after c, b at once, d at once, e after one wrong; c is the only cat and asks nothing.
    second = (1 / 2 + 1 + 1 + 1 / 2) / 4
    assert [(each.level, each.labels, each.queries) for each in found] == [(1, 2, 5), (2, 3, 4)], "no two are one breed"
    assert [each.map for each in found] == pytest.approx([first, second])
    assert found[0].chance == pytest.approx((3 * chance(2, 4) + 2 * chance(1, 4)) / 5)


def test_a_label_that_ends_sooner_is_neither_asked_for_nor_found_below() -> None:
    labels = {"a": "x/y/1", "b": "x/y/1", "c": "x/y"}
    found = level_scores({"a": ["c", "b"], "b": ["c", "a"], "c": ["a", "b"]}, labels, separator="/")
    assert found[2] == Level(3, 1, 2, 1.0, 1.0), "c comes first and does not count"
    assert level_scores({"a": ["b"], "b": ["a"]}, {"a": "x", "b": "y"}, separator="/") == ()


@pytest.mark.parametrize(("right", "rows"), [(1, 4), (2, 5), (4, 5), (3, 3)])
def test_chance_is_the_mean_over_all_orders(right: int, rows: int) -> None:
    relevant = {str(n): 1.0 for n in range(right)}
    orders = list(permutations(map(str, range(rows))))
    mean = sum(average_precision(order, relevant) for order in orders) / len(orders)
    assert chance(right, rows) == pytest.approx(mean)


def test_a_separator_without_labels_is_refused() -> None:
    with pytest.raises(ValueError, match=r"evaluation\.label_separator: no space learns from labels"):
        Collection(
            name="papers", source={"kind": "file", "path": "a.jsonl"}, fields={"text": "text"},
            spaces={"text": {"fields": ["text"]}}, evaluation={"label_separator": "/"},
        )  # type: ignore[arg-type] # fmt: skip
