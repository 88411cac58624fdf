"""For which values of a filter column an index of their own would pay, from the statistics that Postgres keeps."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vector_assets.index.filter_costs import exact_cost, index_cost
from vector_assets.index.size_planner import index_bytes
from vector_assets.records import Generation
from vector_assets.spec.partial import MOST, PartialIndex, PartialValue

# A graph is one more that every write goes into: a value pays from so many times and microseconds a search on.
_TIMES, _SAVED = 2.0, 1000.0
_UNITS = 5.0  # of the planner, at most, to find one row: a page at random, and some processor time
_PLAIN = re.compile(r"[A-Za-z][\w-]*")
_YAML_WORDS = frozenset(["true", "false", "yes", "no", "on", "off", "y", "n", "null", "none"])


@dataclass(frozen=True, slots=True)
class ValueFound:
    """A value of a filter column: its share of the vectors, and what the planner says it costs to find its rows."""

    index: PartialIndex
    share: float
    units: float


@dataclass(frozen=True, slots=True)
class Proposal:
    """A value for which an index of its own would pay.

    ``looked_at`` is what a search with ``field = value`` looks at now, rows or entries, by the cheaper ``way`` of the
    two, and ``looked_at_then`` what it would; the milliseconds are the model's. ``declare`` is what accepts it.
    """

    field: str
    value: PartialValue
    vectors: int
    share: float
    bytes: int
    way: Literal["exact", "index"]
    looked_at: int
    looked_at_then: int
    ms: float
    ms_then: float
    declare: str


def may_pay(share: float, *, vectors: int, width: int) -> bool:
    """Tell whether a value could be proposed, before the planner is asked what finding its rows costs."""
    return 0 < share < 1 and _pays(share, vectors * share * _UNITS, vectors=vectors, width=width)


def _pays(share: float, units: float, *, vectors: int, width: int) -> bool:
    now = min(exact_cost(share * vectors, units).microseconds, index_cost(width, share).microseconds)
    then = index_cost(width, 1.0).microseconds
    return now >= max(_TIMES * then, then + _SAVED)


def propose(
    values: Sequence[ValueFound], generation: Generation, *, vectors: int, width: int, declared: Sequence[PartialIndex]
) -> tuple[Proposal, ...]:
    """Return the values that pay, what saves most first, as many as may still be declared beside ``declared``.

    Where few rows have a value, all are compared; where many have it, the whole index hands out one that matches every
    so often. Between the two both are slow, and a graph over its rows alone is searched as widely as one without a
    filter. ``width`` is the ef_search of the generation, or the candidates of its bits.
    """
    found = []
    for each in values:
        if each.index in declared or not 0 < each.share < 1:
            continue
        if not _pays(each.share, each.units, vectors=vectors, width=width):
            continue
        rows = round(each.share * vectors)
        exact, iterative, then = exact_cost(rows, each.units), index_cost(width, each.share), index_cost(width, 1.0)
        now = min(exact, iterative, key=lambda cost: cost.microseconds)
        found.append(
            Proposal(
                each.index.field, each.index.value, rows, round(each.share, 6),
                index_bytes("hnsw", generation.precision, rows=rows, dims=generation.dims),
                "exact" if now is exact else "index", now.looked_at, then.looked_at,
                round(now.microseconds / 1000, 2), round(then.microseconds / 1000, 2),
                f"partial: {declaration([each.index])}",
            )
        )  # fmt: skip
    found.sort(key=lambda one: (one.ms_then - one.ms, one.field, str(one.value)))
    return tuple(found[: max(0, MOST - len(declared))])


def declaration(indexes: Sequence[PartialIndex]) -> str:
    """``{topic: [cs, math]}``: what stands under ``index.partial`` in YAML."""
    fields: dict[str, list[PartialValue]] = {}
    for each in indexes:
        fields.setdefault(each.field, []).append(each.value)
    return "{" + ", ".join(f"{_yaml(f)}: [{', '.join(map(_yaml, some))}]" for f, some in fields.items()) + "}"


def _yaml(value: PartialValue) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _YAML_WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)  # JSON's strings and numbers are YAML's
