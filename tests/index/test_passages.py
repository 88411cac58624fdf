"""Cited against judged passages, by hand."""

from __future__ import annotations

import pytest

from vector_assets.index.passages import Cited, PassageRecall, Span, locate, overlaps, passage_recall
from vector_assets.records import JudgedPassage


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((0, 10), (0, 10), True),
        ((0, 100), (40, 50), True),  # a sentence in a long chunk
        ((0, 10), (5, 100), True),  # half of the shorter one
        ((0, 10), (6, 100), False),
        ((0, 10), (10, 20), False),  # they touch
        ((0, 10), (30, 40), False),
    ],
)
def test_half_of_the_shorter_one_has_to_lie_in_the_other(
    one: tuple[int, int], other: tuple[int, int], same: bool
) -> None:
    assert overlaps(Span(*one), Span(*other)) is overlaps(Span(*other), Span(*one)) is same


def test_a_passage_is_found_whatever_white_space_it_has() -> None:
    text = "First.\n\nIt is\n  so (a+b). It is so (a+b)."
    assert locate(text, JudgedPassage(" It is so\t(a+b). ")) == (8, 25)
    assert locate(text, JudgedPassage("It is not so")) is None
    assert locate(text, JudgedPassage(span=(0, 6))) == (0, 6)
    assert locate(text, JudgedPassage(span=(0, 600))) is None


def test_recall_counts_questions_one_of_whose_first_five_cites_a_judged_passage() -> None:
    wrong = [Cited(f"w{n}", Span(0, 10)) for n in range(5)]
    judged = [{"a": (Span(0, 10), Span(50, 60))}] * 4 + [{"a": ()}]
    cited = [
        [*wrong[:4], Cited("a", Span(52, 58))],  # the fifth, its second passage
        [*wrong, Cited("a", Span(0, 10))],  # the sixth
        [Cited("a", Span(20, 30))],  # another place of the row
        [Cited("a", None)],  # cites nothing
        [Cited("a", Span(0, 10))],  # the judged passage is gone
    ]
    found = passage_recall(cited, judged)
    assert (found.recall, found.rows, found.questions) == (0.2, 0.8, 5) and found.low == 0.0 < found.high < 1
    assert isinstance(found, PassageRecall) and found.k == 5
