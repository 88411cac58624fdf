"""The two pictures of a measured generation: drawn where there is something to draw, by what was measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vector_assets.index import pictures
from vector_assets.index.calibrating import Kept
from vector_assets.index.pictures import draw_recall, draw_reliability
from vector_assets.records.calibration import Bin, Calibrated, Reliability

CALIBRATED = Calibrated("vector", "logistic", ((0.2, 0.1), (0.8, 0.9)), (), 100, 10, {})
RELIABILITY = Reliability(0.05, 0.1, 200, 20, (Bin(0.2, 0.1, 100), Bin(0.8, 1.0, 100)))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures as they are saved."""
    figures: list[Figure] = []
    saved = pictures._saved

    def keep(figure: Figure, path: Path) -> Path:
        figures.append(figure)
        return saved(figure, path)

    monkeypatch.setattr(pictures, "_saved", keep)
    return figures


def line(axes: Axes, label: str) -> list[tuple[float, float]]:
    (found,) = [each for each in axes.get_lines() if each.get_label() == label]
    return [(float(x), float(y)) for x, y in zip(*found.get_data(), strict=True)]


def test_recall_stands_over_latency_where_it_was_timed_else_over_the_width(drawn: list[Figure], tmp_path: Path) -> None:
    wide = {"ef_search": 80, "mean": 0.99, "worst": 0.8, "p50": 2.0, "p99": 5.0}
    narrow = {"ef_search": 40, "mean": 0.9, "worst": 0.5, "p50": 1.0, "p99": 3.0}
    path = draw_recall([wide, narrow], tmp_path / "a" / "r.png", title="t", declared=0.95, worst=0.5)
    assert path and path.read_bytes().startswith(b"\x89PNG")
    (axes,) = drawn[0].axes
    assert line(axes, "mean of queries") == [(1.0, 0.9), (2.0, 0.99)] and "ms" in axes.get_xlabel()
    assert line(axes, "chosen, width 40") == [(1.0, 0.9)]
    untimed = [{name: value for name, value in each.items() if name[0] != "p"} for each in (narrow, wide)]
    draw_recall(untimed, tmp_path / "r.png", title="t", declared=0.95)
    assert line(drawn[1].axes[0], "mean of queries") == [(40.0, 0.9), (80.0, 0.99)]
    assert draw_recall([], tmp_path / "none.png", title="t", declared=0.95) is None
    assert not (tmp_path / "none.png").exists()


def test_reliability_is_what_was_right_over_what_was_promised(drawn: list[Figure], tmp_path: Path) -> None:
    nothing = Kept(0.9, None, None, 0, 0.0)
    assert draw_reliability({"vector": (CALIBRATED, nothing)}, tmp_path / "none.png", title="t") is None
    measured = replace(CALIBRATED, reliability=RELIABILITY)
    assert draw_reliability({"vector": (measured, Kept(0.9, 0.6, 1.0, 9, 0.3))}, tmp_path / "r.png", title="t")
    left, right = drawn[0].axes
    assert line(left, "as promised") == [(0, 0), (1, 1)]
    ((points, _, (bars,)),) = [each for each in left.containers]
    assert list(zip(*points.get_data(), strict=True)) == [(0.2, 0.1), (0.8, 1.0)]
    low, high = (float(y) for _, y in bars.get_segments()[0])
    assert (low, high) == pytest.approx((0.0552, 0.1744), abs=1e-3)  # Wilson's limits of 10 in 100
    assert line(right, "90 % right from 0.6")[0][0] == 0.6
