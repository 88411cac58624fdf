"""What a filtered search costs, by each way: the model that search.<collection>_filtered chooses by."""

from __future__ import annotations

from dataclasses import dataclass

# Microseconds, of which only the ratios matter (benchmarks/filtered.py): to compare one row that was found, to take one
# entry from the index, the same where its row is looked up in the source, and a unit of the planner's cost.
COMPARE, ENTRY, LOOKUP, UNIT = 0.5, 10.0, 5.0, 0.3


@dataclass(frozen=True, slots=True)
class Cost:
    """``looked_at``: rows that are compared, or entries that the index hands out; ``microseconds`` by the model."""

    looked_at: int
    microseconds: float


def exact_cost(matching: float, units: float) -> Cost:
    """Find the rows that match, at ``units`` of the planner's cost, and compare each."""
    return Cost(round(matching), matching * COMPARE + units * UNIT)


def index_cost(width: int, share: float) -> Cost:
    """Take entries from an index of which ``share`` match, until as many that match were seen as ``width`` says."""
    return Cost(round(width / share), width / share * ENTRY)
