"""Which rows are held out: whole groups by name, by a hash of seed and group, or by time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from vector_assets.errors import SpecError
from vector_assets.records import SplitName
from vector_assets.spec import Split
from vector_assets.training.texts import hash_of, some


def places_of(
    groups: Sequence[str], times: Sequence[datetime | None], split: Split, seed: int
) -> list[SplitName | None]:
    """Return where each row goes; None for rows that are older than the split which their group went to.

    Rows that are split by time all have one. Raises SpecError for a named group that no row has.
    """
    validation, test = split.validation, split.test
    if isinstance(validation, list) and isinstance(test, list):
        return [*_by_name(groups, split, validation, test)]
    assert isinstance(validation, float) and isinstance(test, float)
    if split.by_time:
        return _by_time(groups, [time for time in times if time is not None], validation, test)
    shares = {group: int(hash_of(seed, group)[:16], 16) / 16**16 for group in set(groups)}
    drawn = (shares[group] for group in groups)
    return ["test" if s < test else "validation" if s < test + validation else "train" for s in drawn]


def _by_name(groups: Sequence[str], split: Split, validation: list[str], test: list[str]) -> list[SplitName]:
    known = sorted(set(groups))
    for name, wanted in (("validation", validation), ("test", test)):
        unknown = sorted(set(wanted) - set(known))
        if unknown:
            raise SpecError(
                f"train.split.{name}: no usable pair has {split.by} = {unknown[0]!r} (groups found: {some(known)})"
            )
    return ["validation" if group in validation else "test" if group in test else "train" for group in groups]


def _by_time(
    groups: Sequence[str], times: Sequence[datetime], validation: float, test: float
) -> list[SplitName | None]:
    """Cut at two times, then place each group by its newest row: nothing held out is older than what is learned."""
    newest: dict[str, datetime] = {}
    for group, time in zip(groups, times, strict=True):
        newest[group] = max(time, newest.get(group, time))
    order = sorted(times, reverse=True)
    test_from = _cut(order, test * len(order))
    rest = [time for time in order if test_from is None or time < test_from]
    validation_from = _cut(rest, validation * len(order))

    def place(time: datetime) -> SplitName:
        if test_from is not None and time >= test_from:
            return "test"
        return "validation" if validation_from is not None and time >= validation_from else "train"

    return [
        of_group if place(time) == of_group else None
        for time, of_group in ((time, place(newest[group])) for group, time in zip(groups, times, strict=True))
    ]


def _cut(times: Sequence[datetime], wanted: float) -> datetime | None:
    """Return the time from which as near to the wanted number of times are as equal ones allow; at least one is."""
    best, nearest = None, float("inf")
    for number, time in enumerate(times, start=1):
        if number < len(times) and times[number] == time:
            continue
        if abs(number - wanted) >= nearest:
            break
        best, nearest = time, abs(number - wanted)
    return best
