"""A log of clicks -> pairs that weigh what the clicks say once the help of a high place is taken off. Pure.

A click at a position that is looked at with propensity p weighs 1/p, at most ``max_weight`` (inverse propensity
scoring: Joachims, Swaminathan and Schnabel 2017). A pair weighs what its clicks weigh together, divided by how often it
was shown: an estimate of its relevance. Rows that stood above a click in the same list and were never clicked for that
query are its hard negatives (Joachims 2002, "skip above").
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from vector_assets.errors import SourceError
from vector_assets.source.clicks import Impression
from vector_assets.spec import Clicks
from vector_assets.training.propensities import Ints, estimate_propensities

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = -(2**62)


@dataclass(frozen=True, slots=True)
class ClickedPair:
    """A query with a row that it was clicked for; ``negatives`` are JSON row keys as ``key`` is."""

    query: str
    key: str
    weight: float
    negatives: tuple[str, ...]
    time: datetime | None


@dataclass(frozen=True, slots=True)
class FromClicks:
    """The pairs, and what the log came to: counts, and for each position how often shown, clicked, and looked at."""

    pairs: tuple[ClickedPair, ...]
    report: dict[str, float]


def pairs_from_clicks(impressions: Iterable[Impression], clicks: Clicks, where: str) -> FromClicks:
    """Return the pairs of a log. ``where`` is what messages call it.

    Raises SourceError for an empty log, for one in which no propensity can be told, and for one that makes no pair.
    """
    log = _Log.of(impressions)
    if not len(log.row):
        raise SourceError(f"{where}: has no line with a query; expected query, shown, position, clicked")
    propensities = _propensities(log, clicks, where)
    size = int(log.position.max()) + 1
    worth = np.zeros(size)  # of one click there; 0 where the propensity is not known
    for position, propensity in propensities.items():
        if position < size:
            worth[position] = min(1 / propensity, clicks.max_weight)
    known = worth[log.position] > 0
    rows = len(log.keys)
    shown = np.bincount(log.row[known], minlength=rows)
    clicked = np.bincount(log.row[log.clicked], minlength=rows)
    gained = np.bincount(log.row, weights=log.clicked * worth[log.position], minlength=rows)
    often = shown >= clicks.min_impressions
    chosen = np.flatnonzero(often & (gained > 0))
    report: dict[str, float] = {
        "impressions": len(log.row), "clicks": int(log.clicked.sum()), "empty_query_lines": log.without_query,
        "unknown_position_lines": int((~known).sum()), "few_impressions": int(((clicked > 0) & ~often).sum()),
        "never_clicked": int((clicked == 0).sum()), **_positions(log, propensities),
    }  # fmt: skip
    if not len(chosen):
        raise SourceError(
            f"{where}: no row was clicked for a query and shown for it {clicks.min_impressions} times or more "
            f"({report['few_impressions']} were shown less often); expected more clicks, or lower min_impressions"
        )
    skipped = _skipped(log, clicked, clicks.max_negatives)
    newest = np.full(rows, _NO_TIME, np.int64)
    np.maximum.at(newest, log.row, log.time)
    pairs = []
    for row in chosen.tolist():
        query, key = log.keys[row]
        negatives = tuple(log.documents[log.keys[one][1]] for one in skipped.get(query, ()))
        weight = round(float(gained[row] / shown[row]), 9)
        pairs.append(ClickedPair(log.queries[query], log.documents[key], weight, negatives, _when(int(newest[row]))))
    return FromClicks(tuple(pairs), report)


def positions_of(report: Mapping[str, float]) -> list[dict[str, int | float | None]]:
    """Return what the report of a training set says of each position, from the first; nothing where it has none."""
    names = [name.split("_")[1] for name in report if name.startswith("position_") and name.endswith("_shown")]
    found: list[dict[str, int | float | None]] = []
    for name in sorted(names, key=int):
        shown, clicked = (report[f"position_{name}_{what}"] for what in ("shown", "clicked"))
        propensity = report.get(f"position_{name}_propensity")
        found.append({
            "position": int(name), "shown": int(shown), "clicked": int(clicked),
            "click_rate": round(clicked / shown, 6), "propensity": propensity,
        })  # fmt: skip
    return found


def _propensities(log: _Log, clicks: Clicks, where: str) -> dict[int, float]:
    if clicks.propensities is not None:
        return dict(enumerate(clicks.propensities, start=1))
    found = estimate_propensities(log.row, log.position, log.clicked)
    if not found:
        raise SourceError(
            f"{where}: no row was clicked at two positions for one query, so how much a high place helped cannot be "
            "told from how good the row is; expected a log in which places vary, or clicks.propensities"
        )
    return found


def _positions(log: _Log, propensities: dict[int, float]) -> dict[str, float]:
    shown = np.bincount(log.position)
    clicked = np.bincount(log.position, weights=log.clicked)
    report: dict[str, float] = {}
    for position in np.flatnonzero(shown).tolist():
        name = f"position_{position:02d}"
        report[f"{name}_shown"], report[f"{name}_clicked"] = int(shown[position]), int(clicked[position])
        if position in propensities:
            report[f"{name}_propensity"] = round(propensities[position], 6)
    return report


def _skipped(log: _Log, clicked: Ints, most: int) -> dict[int, list[int]]:
    """Return for each query the rows that were passed over most often, by number; none without sessions."""
    lists = log.session >= 0
    if not most or not lists.any():
        return {}
    query = np.array([of_query for of_query, _ in log.keys], np.int64)[log.row]
    _, which = np.unique(log.session * (int(query.max()) + 1) + query, return_inverse=True)
    deepest = np.zeros(int(which.max()) + 1, np.int64)
    np.maximum.at(deepest, which[log.clicked], log.position[log.clicked])
    passed = lists & (log.position < deepest[which]) & (clicked[log.row] == 0)
    times = np.bincount(log.row[passed], minlength=len(log.keys))
    found: dict[int, list[int]] = {}
    for row in sorted(np.flatnonzero(times).tolist(), key=lambda row: (-times[row], log.documents[log.keys[row][1]])):
        of_query = found.setdefault(log.keys[row][0], [])
        if len(of_query) < most:
            of_query.append(row)
    return found


def _when(time: int) -> datetime | None:
    return None if time == _NO_TIME else _EPOCH + timedelta(microseconds=time)


@dataclass(frozen=True, slots=True)
class _Log:
    """The lines as columns of numbers, about 30 bytes each, so that a log of millions fits into memory.

    ``row`` numbers what was shown for which query: a place in ``keys``, whose parts are places in ``queries`` and
    ``documents``.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    keys: tuple[tuple[int, int], ...]
    row: Ints
    position: Ints
    clicked: NDArray[np.bool_]
    session: Ints  # -1 where none is known
    time: Ints  # microseconds
    without_query: int

    @classmethod
    def of(cls, impressions: Iterable[Impression]) -> _Log:
        queries: dict[str, int] = {}
        documents: dict[str, int] = {}
        keys: dict[tuple[int, int], int] = {}
        sessions: dict[str, int] = {}
        row, position, clicked, session, time = array("i"), array("h"), array("b"), array("i"), array("q")
        without_query = 0
        for one in impressions:
            query = " ".join(one.query.split())
            if not query:
                without_query += 1
                continue
            pair = queries.setdefault(query, len(queries)), documents.setdefault(one.shown, len(documents))
            row.append(keys.setdefault(pair, len(keys)))
            position.append(one.position)
            clicked.append(one.clicked)
            session.append(sessions.setdefault(one.session, len(sessions)) if one.session else -1)
            time.append((one.time - _EPOCH) // timedelta(microseconds=1) if one.time else _NO_TIME)
        return cls(
            tuple(queries), tuple(documents), tuple(keys),
            np.array(row, np.int64), np.array(position, np.int64), np.array(clicked, np.bool_),
            np.array(session, np.int64), np.array(time, np.int64), without_query,
        )  # fmt: skip
