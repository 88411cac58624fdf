"""Splits by time, and of pairs with negatives and weights: nothing held out is older, or alike, or of one group."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.errors import SpecError
from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.duplicates import three_grams
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.pairs import pairs_digest, pairs_from_rows
from vector_assets.training.splits import places_of

START = datetime(2026, 1, 1, tzinfo=UTC)
HELD_OUT: tuple[tuple[SplitName, tuple[SplitName, ...]], ...] = (
    ("train", ("validation", "test")),
    ("validation", ("test",)),
)


def _training(**split: object) -> Training:
    shares = {"by_time": "time", "validation": 0.2, "test": 0.2}
    return Training.model_validate({"triplets": "t.jsonl", "split": shares | split})


def _day(number: int) -> datetime:
    return START + timedelta(days=number)


def _row(number: int, day: int, group: str = "", **more: object) -> PairRow:
    return PairRow(
        f"[{number}]", f"asks{number} for{number} it", f"says{number} so{number}", group, time=_day(day), **more
    )  # type: ignore[arg-type]


def _keys(found: TrainingSet, name: SplitName) -> list[int]:
    return sorted(int(pair.key[1:-1]) for pair in found.split(name))


def test_the_newest_share_is_test_and_the_next_validation() -> None:
    found = pairs_from_rows([_row(n, day=n) for n in reversed(range(20))], _training())
    assert (_keys(found, "test"), _keys(found, "validation")) == ([16, 17, 18, 19], [12, 13, 14, 15])
    assert found.report["test_from"] == _day(16).timestamp()
    assert found.report["validation_from"] == _day(12).timestamp()


def test_equal_times_stay_together_as_near_to_the_share_as_they_allow() -> None:
    days = [1] * 7 + [2] * 4 + [3] * 4 + [4] * 5  # 20 % of 20 are 4: all five of day 4, then the four of day 3
    found = pairs_from_rows([_row(n, day) for n, day in enumerate(days)], _training())
    assert (found.report["test"], found.report["validation"], found.report["train"]) == (5, 4, 11)
    days = [1] * 9 + [2] * 9 + [3]  # a day too many would take more than half: one alone is nearer to 20 %
    assert (
        places_of(["x"] * 0 + [str(n) for n in range(19)], list(map(_day, days)), _training().split, 0).count("test")
        == 1
    )


def test_a_group_goes_where_its_newest_row_goes_and_its_older_rows_are_left_out() -> None:
    rows = [_row(n, day=n, group=f"g{n}") for n in range(20)]
    rows += [_row(100, day=0, group="g19"), _row(101, day=12, group="g18"), _row(102, day=1, group="g2")]
    found = pairs_from_rows(rows, _training(by="g"))
    assert not {100, 101} & {key for name in ("train", "validation", "test") for key in _keys(found, name)}  # type: ignore[arg-type]
    assert found.report["older_than_their_split"] == 2 and 102 in _keys(found, "train")


def test_a_pair_that_is_said_twice_is_of_its_later_time() -> None:
    rows = [_row(n, day=n) for n in range(20)]
    twice = [replace(rows[0], time=_day(19)), *rows[1:], rows[0]]
    for order in (twice, twice[::-1]):
        assert 0 in _keys(pairs_from_rows(order, _training()), "test")


def test_rows_without_a_time_are_left_out_and_counted() -> None:
    rows = [_row(n, day=n) for n in range(20)] + [PairRow("[90]", "no time at all", "none here")]
    assert pairs_from_rows(rows, _training()).report["no_time"] == 1
    labelled = Training.model_validate({
        "objective": "triplet", "labels": "kind", "split": {"by_time": "at", "validation": 0.3, "test": 0.3},
    })  # fmt: skip
    texts = [PairRow(f"[{n}]", "", f"w{n} x{n} y{n}", label=f"l{n % 2}", time=_day(n)) for n in range(20)]
    found = pairs_from_rows([*texts, PairRow("[90]", "", "another text", label="l1")], labelled)
    assert found.report["no_time"] == 1 and _keys(found, "test") == list(range(14, 20))


def test_one_time_for_all_is_told() -> None:
    with pytest.raises(SpecError, match=r"0 pairs in train.*check split.by \(time\)"):
        pairs_from_rows([_row(n, day=3) for n in range(20)], _training())


words = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=6).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(words, words, st.sampled_from("abcdefgh"), st.integers(0, 12), st.lists(words, max_size=2)),
        min_size=8, max_size=60,
    ),
    st.sampled_from([0.5, 0.8]),
    st.sampled_from(["apart", "shared"]),
    st.booleans(),
)  # fmt: skip
def test_nothing_leaks_between_splits_by_time(
    items: list[tuple[str, str, str, int, list[str]]], threshold: float, documents: str, grouped: bool
) -> None:
    rows = [
        PairRow(f"[{n}]", query, document, group if grouped else "", negatives=tuple(negatives), time=_day(day))
        for n, (query, document, group, day, negatives) in enumerate(items)
    ]
    # The newest of equal pairs says when the one that is kept was.
    days = {
        (query, document): max(d for q, t, _, d, _ in items if (q, t) == (query, document))
        for query, document, *_ in items
    }
    try:
        found = pairs_from_rows(rows, _training(duplicates=threshold, documents=documents, by="g"))
    except SpecError:
        return
    for name, others in HELD_OUT:
        for other in others:
            ours, theirs = found.split(name), found.split(other)
            assert not {pair.group for pair in ours} & {pair.group for pair in theirs}
            newest, oldest = ([days[pair.query, pair.document] for pair in pairs] for pairs in (ours, theirs))
            assert max(newest) < min(oldest)
            for mine in ours:
                assert all(_cosine(mine.query, pair.query) < threshold for pair in theirs)
                if documents == "apart":
                    assert all(_cosine(mine.document, pair.document) < threshold for pair in theirs)
                    if name == "train":
                        assert all(_cosine(no, pair.document) < threshold for no in mine.negatives for pair in theirs)
    for pair in found.pairs:
        answers = {other.document for other in rows if other.query == pair.query}
        assert not answers & set(pair.negatives) and len(set(pair.negatives)) == len(pair.negatives)


def _cosine(a: str, b: str) -> float:
    left, right = set(three_grams(a)), set(three_grams(b))
    return len(left & right) / math.sqrt(len(left) * len(right))


def _plain_rows(weights: tuple[float, ...] = (1, 1, 1, 1)) -> list[PairRow]:
    return [
        PairRow("", f"asks{n} of{n} it", f"says{n} so{n}", f"g{n}", weight=weights[n % len(weights)]) for n in range(40)
    ]


def test_lines_of_one_pair_are_one_pair_with_all_their_negatives() -> None:
    rows = [
        *_plain_rows(),
        PairRow("", "q", "yes", "q", negatives=("no", " ", "no two")),
        PairRow("", " q", "yes ", "q", negatives=("no", "no three")),
        PairRow("", "q", "also", "q", negatives=("yes", "no")),
    ]  # fmt: skip
    found = pairs_from_rows(rows, _training(by_time=None))
    negatives = {pair.document: set(pair.negatives) for pair in found.pairs if pair.query == "q"}
    assert negatives == {"yes": {"no", "no two", "no three"}, "also": {"no"}}
    assert found.report["duplicate"] == 1 and found.report["negative_is_answer"] == 1 and found.report["negatives"] == 4
    assert pairs_from_rows(rows[::-1], _training(by_time=None)) == found


def test_weights_have_mean_one_in_train_and_equal_ones_are_none() -> None:
    found = pairs_from_rows(_plain_rows((1, 3, 7, 15)), _training(by_time=None))
    weights = [pair.weight for pair in found.split("train")]
    assert sum(weights) / len(weights) == pytest.approx(1, abs=1e-5) and max(weights) / min(weights) == pytest.approx(
        15, rel=1e-4
    )
    same = pairs_from_rows(_plain_rows((3,)), _training(by_time=None))
    assert {pair.weight for pair in same.pairs} == {1.0} and same.digest != found.digest
    assert same.digest == pairs_from_rows(_plain_rows(), _training(by_time=None)).digest


def test_digests_of_earlier_sets_are_theirs_and_negatives_and_weights_are_in_new_ones() -> None:
    """The digest was computed before pairs had negatives and weights."""
    first, second = Pair("asks", "says", "g", "train", "[1]"), Pair("", "ä text", "h", "test", "[2]", "kind")
    assert pairs_digest([first, second]) == "0af9139b7927e5d7fa9a1a7fc6dd10dc1513b06679ca7322ba031c7d7e5a177e"
    others = [first, replace(first, weight=2.0), replace(first, negatives=("n",)), replace(first, negatives=("n", "m"))]
    assert len({pairs_digest([one, second]) for one in others}) == len(others)


def test_shared_documents_answer_in_every_split() -> None:
    rows = [PairRow(f"[{n % 3}]", f"asks{n} of{n} it", f"one of three rows {n % 3}", f"q{n}") for n in range(60)]
    found = pairs_from_rows(rows, _training(by_time=None, documents="shared"))
    assert found.report["near_duplicate_train"] == 0
    assert len({pair.document for pair in found.split("train")} & {pair.document for pair in found.split("test")}) > 1
    with pytest.raises(SpecError, match=r"near_duplicate_train .*duplicates and documents"):
        pairs_from_rows(rows, _training(by_time=None))
