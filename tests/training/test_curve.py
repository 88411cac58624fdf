"""Learning curves: nested parts, the same work at every point, a warning where data is too little, going on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runlog import MemoryLog

from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import Curve, Training
from vector_assets.training import pairs_digest
from vector_assets.training import resume as resuming
from vector_assets.training.curve import Measured, Point, curve_key, draw_curve, within_from
from vector_assets.training.curve.points import known_share
from vector_assets.training.curve.subsets import nested_order, part_of, sizes_of
from vector_assets.training.session import Session


def _texts(labels: int, copies: int, split: SplitName = "train", *, first: int = 0) -> list[Pair]:
    """Label k has the word a<k>; the other words are noise."""
    return [
        Pair("", f"c{(k * 7 + n) % 30} a{k} d{(n * 11) % 30}", f"{split}{k}{n}", split, f"[{n}]", f"kind {k}")
        for k in range(labels)
        for n in range(first, first + copies)
    ]


@pytest.fixture(scope="module")
def kinds() -> TrainingSet:
    texts = [*_texts(6, 12), *_texts(6, 4, "validation", first=12), *_texts(6, 4, "test", first=16)]
    return TrainingSet(pairs_digest(texts), tuple(texts), {"train": 72})


def _declared(**settings: Any) -> Training:
    return Training.model_validate(
        {
            "objective": "classification", "labels": "kind", "trainable": "last_1", "learning_rate": 3e-3,
            "batch_size": 8, "evaluations_per_epoch": 1, "max_epochs": 2, "patience": 2,
            "curve": {"rows": [4, 12, 500]}, **settings,
        }
    )  # fmt: skip


class Points:
    """Opens the logs of points and remembers them, with how each ended."""

    def __init__(self) -> None:
        self.logs: dict[str, MemoryLog] = {}
        self.ended: dict[str, str] = {}

    @contextmanager
    def open(self, number: int, name: str) -> Iterator[MemoryLog]:
        self.logs[name] = MemoryLog()
        self.ended[name] = "open"
        yield self.logs[name]
        self.ended[name] = "finished"


def _measure(kinds: TrainingSet, training: Training, base: Path, place: Path, points: Points | None = None) -> Measured:
    points = points or Points()
    return draw_curve(
        kinds, training, base, work=place / "work", report_folder=place / "report", log=MemoryLog(),
        open_point=points.open,
    )  # fmt: skip


# -- parts


def test_a_smaller_part_lies_inside_a_larger_one_and_leaves_what_is_held_out(kinds: TrainingSet) -> None:
    order = nested_order(kinds.split("train"), seed=1, draw=0)
    parts = [part_of(kinds, order, rows) for rows in (4, 12, 40, 72)]
    for small, large in pairwise(parts):
        assert set(small.split("train")) < set(large.split("train"))
    for part in parts:
        assert part.split("validation") == kinds.split("validation") and part.split("test") == kinds.split("test")
    assert parts[-1].digest == kinds.digest and len({part.digest for part in parts}) == 4


def test_labels_come_once_each_and_then_in_proportion() -> None:
    train = [*_texts(1, 60), *[pair for pair in _texts(4, 10) if pair.label != "kind 0"]]
    for draw in range(5):
        order = nested_order(train, seed=0, draw=draw)
        first = [train[place].label for place in order[:4]]
        assert sorted(first) == ["kind 0", "kind 1", "kind 2", "kind 3"]
        half = [train[place].label for place in order[:45]]
        assert 28 <= half.count("kind 0") <= 32 and all(4 <= half.count(f"kind {k}") <= 6 for k in (1, 2, 3))
        assert sorted(order) == list(range(len(train)))


def test_where_likeness_is_learned_labels_come_in_twos() -> None:
    train = [*_texts(5, 5), Pair("", "alone", "g", "train", "[9]", "alone")]
    order = nested_order(train, seed=0, draw=0, together=2)
    labels = [train[place].label for place in order[:4]]
    assert labels[0] == labels[1] != labels[2] == labels[3]
    assert "alone" not in [train[place].label for place in order[:10]]


def test_a_draw_is_repeatable_and_another_is_another() -> None:
    train = _texts(3, 9)
    assert nested_order(train, seed=4, draw=1) == nested_order(train, seed=4, draw=1)
    assert nested_order(train, seed=4, draw=1) != nested_order(train, seed=4, draw=2)
    pairs = [Pair(f"q{n}", f"d{n}", f"g{n}", "train") for n in range(50)]
    assert sorted(nested_order(pairs, seed=0, draw=0)) == list(range(50)) != nested_order(pairs, seed=0, draw=0)


def test_all_rows_are_the_last_point_where_there_are_fewer() -> None:
    assert sizes_of(Curve(rows=[10, 30, 100]), 1000) == [10, 30, 100]
    assert sizes_of(Curve(rows=[10, 30, 100, 300]), 64) == [10, 30, 64]


# -- what is said of it


def _point(rows: int, gap: float, start: str = "scratch", draw: int = 0) -> Point:
    return Point(start, rows, draw, 2, 0.5, 0.4, 0.1, gap, 8, 4, 1.0)  # type: ignore[arg-type]


def test_enough_begins_where_no_later_gap_is_wider() -> None:
    assert within_from({10: 0.1, 30: 0.4, 100: 0.1, 300: 0.2}, 0.2) == 100
    assert within_from({10: 0.1, 30: 0.1}, 0.2) == 10
    assert within_from({10: 0.1, 30: 0.3}, 0.2) is None


def test_a_start_that_overfits_is_warned_of_with_the_rows_that_are_enough() -> None:
    found = Measured(
        "accuracy", (_point(10, 0.9), _point(100, 0.5), _point(300, 0.1), _point(10, 0.1, "pretrained")), (10,), 300
    )
    (warning,) = found.warnings(0.2)
    assert "from scratch" in warning and "0.900 further than validation (10 rows)" in warning
    assert warning.endswith("from 300 rows on it is within")
    assert found.warnings(0.95) == []
    (worse,) = Measured("map", (_point(10, 0.5), _point(30, 0.3)), (10, 30), 30).warnings(0.2)
    assert "also with 30 rows; expected more rows" in worse


def test_draws_are_averaged() -> None:
    found = Measured("map", (_point(10, 0.1), _point(10, 0.5, draw=1)), (10,), 10)
    assert [line["gap"] for line in found.means] == [0.3] and found.series("scratch", "gap") == {10: [0.1, 0.5]}
    assert found.warnings(0.2) and not found.warnings(0.3)


def test_labels_that_a_part_does_not_hold_count_as_wrong() -> None:
    assert known_share(["a", "a", "b", "c"], ["a", "b"]) == 0.75 and known_share([], ["a"]) == 0.0


# -- measured


@pytest.fixture(scope="module")
def measured(kinds: TrainingSet, base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Measured, Points, Path]:
    place, points = tmp_path_factory.mktemp("curve"), Points()
    return _measure(kinds, _declared(), base, place, points), points, place


def test_every_start_is_measured_at_every_number_of_rows(measured: tuple[Measured, Points, Path]) -> None:
    found, points, _ = measured
    assert found.metric == "accuracy"
    assert [(p.start, p.rows) for p in found.points] == [(s, n) for s in ("pretrained", "scratch") for n in (4, 12, 72)]
    assert set(points.ended.values()) == {"finished"} and "scratch 12 rows" in points.ended
    # Four texts are of four labels of six: what is held out of the two others cannot be right.
    four = found.points[0]
    assert four.labels == 4 and four.validation <= four.labels / 6 + 1e-9 and four.test <= four.labels / 6 + 1e-9
    assert found.points[2].validation > four.validation
    # What it learned from it knows, by heart: no label occurs twice, and the gap is seen all the same.
    assert four.gap > 0.2 and any("from 72 rows on" in one or "too little" in one for one in found.warnings(0.2))


def test_points_differ_by_rows_and_not_by_steps(measured: tuple[Measured, Points, Path]) -> None:
    found, points, _ = measured
    looks = [[step for step, _ in log.series("validation/accuracy")] for log in points.logs.values()]
    assert looks == [[0, 9, 18]] * 6, "72 rows, 8 at once, 2 epochs: so long are all"
    assert {point.steps for point in found.points} == {18}
    assert points.logs["scratch 4 rows"].logged_params["trainable"] == "all"
    assert points.logs["pretrained 4 rows"].logged_params["trainable"] == "last_1"


def test_it_is_drawn_and_no_checkpoint_is_left(measured: tuple[Measured, Points, Path]) -> None:
    _, _, place = measured
    assert {path.name for path in (place / "report").iterdir()} == {"learning_curve.png", "learning_curve.csv"}
    assert (place / "report" / "learning_curve.png").read_bytes()[:4] == b"\x89PNG"
    lines = (place / "report" / "learning_curve.csv").read_text().splitlines()
    assert len(lines) == 7 and lines[0].startswith("start,rows,draw,labels,validation,test")
    left = {path.name for path in (place / "work").iterdir()}
    assert left == {"bases", "points.json"}, "of what is in work nothing but untrained weights and numbers"
    assert len(list((place / "work" / "bases").iterdir())) == 1, "the untrained weights of one start at a time"


def test_test_is_looked_at_once_a_point_and_after_its_choice(
    kinds: TrainingSet, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    score, update = Session.score_test, Session.update
    monkeypatch.setattr(Session, "score_test", lambda self, pool: (events.append("test"), score(self, pool))[1])
    monkeypatch.setattr(Session, "update", lambda self, *given: (events.append("step"), update(self, *given))[1])
    training = _declared(curve={"rows": [4, 12], "starts": ["pretrained"]})
    _measure(kinds, training, base, tmp_path)
    assert events.count("test") == 2 and events[-1] == "test" and events[0] == "step"


def test_rates_and_draws_are_as_declared(kinds: TrainingSet, base: Path, tmp_path: Path) -> None:
    points = Points()
    training = _declared(
        curve={"rows": [4, 8], "draws": 2, "starts": ["scratch"], "learning_rates": {"scratch": 0.01}},
        max_epochs=1,
    )  # fmt: skip
    found = _measure(kinds, training, base, tmp_path, points)
    assert {log.logged_params["learning_rate"] for log in points.logs.values()} == {0.01}
    assert list(points.logs) == [f"scratch {rows} rows, draw {draw}" for draw in (0, 1) for rows in (4, 8)]
    bases = {log.logged_params["base_checkpoint"] for log in points.logs.values()}
    assert len(bases) == 2, "each draw begins with weights of its own"
    assert [len(values) for values in found.series("scratch", "test").values()] == [2, 2]


@pytest.mark.parametrize("objective", ["contrastive", "triplet", "dropout_pairs"])
def test_pairs_likeness_and_texts_have_curves_too(
    objective: str, keywords: TrainingSet, kinds: TrainingSet, base: Path, tmp_path: Path
) -> None:
    source = (
        {"pairs": "p.jsonl"} if objective == "contrastive" else {"labels": "kind"} if objective == "triplet" else {}
    )
    training = Training.model_validate(
        {
            "objective": objective, **source, "trainable": "last_1", "learning_rate": 1e-3, "batch_size": 16,
            "max_epochs": 1, "evaluations_per_epoch": 1, "curve": {"rows": [8, 24], "starts": ["pretrained"]},
        }
    )  # fmt: skip
    found = _measure(kinds if objective == "triplet" else keywords, training, base, tmp_path)
    assert [point.rows for point in found.points] == [8, 24] and all(point.steps for point in found.points)
    assert all(np.isfinite([point.validation, point.test, point.gap]).all() for point in found.points)


def test_a_killed_curve_goes_on_with_what_it_has_and_ends_as_an_undisturbed_one(
    kinds: TrainingSet, base: Path, tmp_path: Path, measured: tuple[Measured, Points, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    whole, _, _ = measured
    monkeypatch.setattr(resuming.Resume, "is_due", property(lambda self: True))
    update, steps = Session.update, [0]

    def torn(self: Session, *given: Any) -> float:
        steps[0] += 1
        if steps[0] == sum(point.steps for point in whole.points[:4]) + 7:  # within the second point from scratch
            raise KeyboardInterrupt
        return update(self, *given)

    monkeypatch.setattr(Session, "update", torn)
    first, second = Points(), Points()
    with pytest.raises(KeyboardInterrupt):
        _measure(kinds, _declared(), base, tmp_path, first)
    assert len(first.ended) == 5 and first.ended["scratch 12 rows"] == "open"
    found = _measure(kinds, _declared(), base, tmp_path, second)
    assert list(second.logs) == ["scratch 12 rows", "scratch 72 rows"]
    same = [[(p.validation, p.test, p.gap, p.steps, p.best_step) for p in one.points] for one in (whole, found)]
    assert same[0] == same[1]
    assert steps[0] == sum(point.steps for point in whole.points) + 1, "but for the step that died none was taken twice"
    (tmp_path / "work" / "points.json").write_text("{torn")
    assert len(_measure(kinds, _declared(curve={"rows": [4, 6], "starts": ["pretrained"]}), base, tmp_path).points) == 2


def test_a_curve_is_known_by_what_it_is_made_of() -> None:
    key = curve_key("set", _declared(), "base")
    assert key == curve_key("set", _declared(max_gap=0.7), "base"), "the band is not measured, only compared with"
    assert key == curve_key("set", _declared(search={"batch_size": [8, 16]}), "base")
    others = [
        curve_key("set", _declared(curve={"rows": [4, 12]}), "base"), curve_key("other", _declared(), "base"),
        curve_key("set", _declared(), "another"), curve_key("set", _declared(learning_rate=1e-3), "base"),
        curve_key("set", _declared(curve={"rows": [4, 12, 500], "draws": 2}), "base"),
    ]  # fmt: skip
    assert len({key, *others}) == 6
