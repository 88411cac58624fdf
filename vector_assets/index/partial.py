"""Partial indexes of a generation: built, measured against an exact scan under their filter, and used only if true."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from vector_assets.index.filter_costs import COMPARE, ENTRY
from vector_assets.index.recall import Found, Recall, choose_ef_search
from vector_assets.index.size_planner import EF_SEARCH
from vector_assets.records import Vectors
from vector_assets.spec import Index
from vector_assets.spec.partial import PartialIndex

#: Fewer rows are always compared one by one, which is cheaper than the narrowest search: no index is built of them.
LEAST_ROWS = round(EF_SEARCH[0] * ENTRY / COMPARE)
#: Each is an exact scan of the rows that match, for each declared value.
PARTIAL_QUERIES = 100


@dataclass(frozen=True, slots=True)
class BuiltPartial:
    """An index over the rows of one value. ``problem`` says why there is none; ``seconds`` is 0 when it was there."""

    index: PartialIndex
    name: str
    rows: int
    bytes: int = 0
    seconds: float = 0.0
    is_large: bool = True
    problem: str = ""
    refused: Mapping[str, object] | None = None  # what was recorded when it was dropped for its recall


class PartialIndexes(Protocol):
    """The partial indexes of one generation; stores/partial_indexes.py implements it."""

    def build(self, *, log: Callable[[str], None]) -> Sequence[BuiltPartial]:
        """Build what is declared and missing, drop what is declared no longer."""
        ...

    def enlarge(self, index: PartialIndex, *, log: Callable[[str], None]) -> BuiltPartial:
        """Build one anew with more links, beside the one in use."""
        ...

    def drop(self, index: PartialIndex) -> None:
        """Drop one: Postgres would choose it for as long as it is there."""
        ...

    def neighbours(self, index: PartialIndex, queries: Vectors, *, k: int, width: int | None) -> Found:
        """Return distances of the k nearest of its rows, and times; an exact scan when ``width`` is None."""
        ...

    def is_chosen(self, index: PartialIndex, query: Vectors) -> bool:
        """Tell whether Postgres answers a filter of this value from this index."""
        ...


@dataclass(frozen=True, slots=True)
class MeasuredPartial:
    """What is known of one: its recall at the width that it is searched with, and whether it is used at all."""

    built: BuiltPartial
    recall: Recall | None
    used: bool
    said: str

    def record(self, declared: Index) -> dict[str, object]:
        """As it is kept with the generation, and read by ``used_partials``."""
        built = self.built
        if built.refused:
            return dict(built.refused)
        return {
            "field": built.index.field, "value": built.index.value, "name": built.name, "rows": built.rows,
            "bytes": built.bytes, "seconds": round(built.seconds, 3), "used": self.used, "said": self.said,
            "recall": asdict(self.recall) if self.recall else None,
            "declared": [declared.recall, declared.worst_recall],
        }  # fmt: skip


def is_refused(record: Mapping[str, object], declared: Index, rows: int) -> bool:
    """Tell whether an index was dropped for its recall, and building it again would change nothing.

    It would where less is declared now, or half as many rows came or went.
    """
    before = int(str(record["rows"]))
    return (
        record["used"] is False
        and record["recall"] is not None
        and record["declared"] == [declared.recall, declared.worst_recall]
        and rows <= 1.5 * before
        and before <= 1.5 * rows
    )


def measure_partials(
    indexes: PartialIndexes, queries: Vectors, declared: Index, *, log: Callable[[str], None]
) -> tuple[MeasuredPartial, ...]:
    """Build and measure every declared partial index, each by the narrowest search that keeps the declared recall.

    One that no width makes true enough is built with more links; where that is not enough either it is dropped, so
    that searches go the ways they went without it.
    """
    places = np.unique(np.linspace(0, len(queries) - 1, min(PARTIAL_QUERIES, len(queries))).astype(int))
    found = []
    for built in indexes.build(log=log):
        one = _measured(indexes, built, queries[places], declared, log)
        log(f"partial index of {built.index}: {one.said}")
        found.append(one)
    return tuple(found)


def _measured(
    indexes: PartialIndexes, built: BuiltPartial, queries: Vectors, declared: Index, log: Callable[[str], None]
) -> MeasuredPartial:
    if built.problem:
        return MeasuredPartial(built, None, False, built.problem)
    if len(queries) and built.rows and not indexes.is_chosen(built.index, queries[0]):
        indexes.drop(built.index)
        return MeasuredPartial(built, None, False, "dropped: Postgres does not choose it for its own filter")

    def search(width: int | None) -> Found:
        return indexes.neighbours(built.index, queries, k=10, width=width)

    def best() -> Recall:
        return choose_ef_search(
            search, recall=declared.recall, worst_recall=declared.worst_recall, widths=EF_SEARCH
        )[-1]  # fmt: skip

    recall = best()
    if not recall.holds(declared.recall, declared.worst_recall) and not built.is_large:
        built = indexes.enlarge(built.index, log=log)
        recall = best()
    said = (
        f"{built.rows:,} vectors, recall@10 {recall.mean:.4f}, worst query {recall.worst:.2f}, width {recall.ef_search}"
    )
    if recall.holds(declared.recall, declared.worst_recall):
        return MeasuredPartial(built, recall, True, said)
    indexes.drop(built.index)
    wanted = f"{declared.recall}" + (f", worst {declared.worst_recall}" if declared.worst_recall is not None else "")
    return MeasuredPartial(built, recall, False, f"dropped, and not used: {said}; declared {wanted}")
