"""Filtered search where some values have an index of their own: asked when the filter implies it, and only then."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from fakes import Execute
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numbered_rows import Filled, check, compared, filled, vector_of
from psycopg.types.json import Jsonb

from vector_assets.spec.partial import PartialIndex
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace

HALF, RARE, THREE = PartialIndex("topic", "half"), PartialIndex("topic", "rare"), PartialIndex("tenth", 3)
TOPIC = compared("topic", "=", "half")


@pytest.fixture(scope="module", params=[False], ids=["rows"])
def live(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Filled]:
    """Topics half and rare, and the last digit 3, have an index each."""
    name = "parted_chunks" if request.param else "parted_plain"
    index = {"recall": 0.9, "partial": {"topic": ["half", "rare"], "tenth": [3]}}
    made = filled(workspace, name, chunks=request.param, index=index, evaluation={"synthetic": 0})
    measured = measure_newest(made.store, maintenance=False, log=lambda _: None)
    records: list[dict[str, object]] = measured.values["partial"]  # type: ignore[assignment]
    assert [(one["field"], one["value"], one["used"]) for one in records] == [
        ("topic", "half", True), ("topic", "rare", False), ("tenth", 3, False)
    ], "of ten rows, and of four hundred, none is needed"  # fmt: skip
    yield made


def scans(live: Filled, tree: object, *, k: int = 10) -> dict[str, int]:
    """How often a search asked each vector index."""
    table = live.store.live().table
    names = {"whole": table + "_hnsw", **{str(each): each.name(table) for each in (HALF, RARE, THREE)}}
    vector = "[" + ",".join(map(str, vector_of(7))) + "]"
    with psycopg.connect(live.url) as connection:
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        statement = f"select * from search.{live.store.collection.name}(%s, %s, null, false, %s)"
        connection.execute(statement.encode(), (vector, k, Jsonb(tree) if tree else None))
        counted = connection.execute(
            "select name, pg_stat_get_xact_numscans(to_regclass('embedding.' || name)) from unnest(%s::text[]) name",
            (list(names.values()),),
        ).fetchall()
    found = {str(name): int(str(count or 0)) for name, count in counted}
    return {said: found[name] for said, name in names.items() if found[name]}


@pytest.mark.parametrize(
    "tree",
    [
        TOPIC,
        compared("topic", "in", ["half"]),
        {"and": [TOPIC]},
        {"and": [compared("rank", ">=", 0), {"and": [compared("rank", "<", 10**6), TOPIC]}]},
        {"and": [TOPIC, {"or": [compared("rank", ">=", 0), compared("topic", "=", "rare")]}]},
        {"and": [TOPIC, compared("near", ">=", 0)]},  # another field, which only the source has
    ],
    ids=str,
)
def test_a_filter_that_implies_its_condition_is_answered_by_it(live: Filled, tree: object) -> None:
    used = scans(live, tree)
    assert used.get("topic = half") and "whole" not in used


@pytest.mark.parametrize(
    "tree",
    [
        None,
        compared("rank", ">=", 0),
        {"or": [TOPIC, compared("rank", ">=", 0)]},
        {"not": compared("topic", "=", "rare")},
        compared("topic", "in", ["half", "rare"]),
        {"and": [compared("rank", ">=", 0), {"or": [TOPIC, compared("rank", ">=", 0)]}]},
        compared("other", "=", "half"),  # the same values in a column that is not copied
        # A value that reads as the condition of another field is a value.
        {"or": [compared("rank", ">=", 0), compared("topic", "=", "(v.\"f_topic\" = 'half'::pg_catalog.text)")]},
    ],
    ids=str,
)
def test_no_other_search_asks_it(live: Filled, tree: object) -> None:
    used = scans(live, tree)
    assert set(used) <= {"whole"}, "the whole index, and no other"


CONDITIONS = [
    (TOPIC, lambda key, size: key % 400 != 7 and key % 2 == 1),
    (compared("topic", "in", ["rare"]), lambda key, size: key % 400 == 7),
    (compared("tenth", "=", 3), lambda key, size: key % 10 == 3 ),
    ({"not": TOPIC}, lambda key, size: key % 400 == 7),
    ({"or": [TOPIC, compared("tenth", "=", 3)]}, lambda key, size: (key % 400 != 7 and key % 2 == 1) or key % 10 == 3),
    (compared("topic", "in", ["half", "rare"]), lambda key, size: key % 400 == 7 or key % 2 == 1),
]  # fmt: skip


@settings(max_examples=80, deadline=None, phases=[Phase.generate])
@given(
    chosen=st.sampled_from(range(len(CONDITIONS))),
    share=st.sampled_from([0.0, 0.003, 0.03, 0.3, 1.0, None]),
    k=st.sampled_from([1, 10, 100, 3000]),
    most=st.sampled_from([None, 1, 50]),
    place=st.integers(0, 4000),
    far=st.booleans(),
)
def test_as_many_as_there_are_with_partial_indexes(
    live: Filled, chosen: int, share: float | None, k: int, most: int | None, place: int, far: bool
) -> None:
    """Alone and beside another condition whose rows spread evenly, or lie farthest from the question."""
    size = len(live.numbers)
    question = vector_of(place)
    tree, holds = CONDITIONS[chosen]
    matching = {key for key in live.numbers if holds(key, size)}
    if share is not None and far:
        scores = live.scores(question)
        kept = set(sorted(live.numbers, key=lambda key: scores[key])[: int(share * size)])
        hundreds = sorted({live.numbers[key][0] // 100 for key in kept})
        tree = {"and": [tree, compared("near", "in", hundreds)]}
        matching = {key for key in matching if live.numbers[key][0] // 100 in hundreds}
    elif share is not None:
        tree = {"and": [compared("rank", "<", int(share * size)), tree]}
        matching = {key for key in matching if 7919 * key % size < int(share * size)}
    assert check(live, question, k, tree, matching, most=most) >= (0.5 if k >= 100 else 0)


def test_what_is_found_is_nearly_all_that_an_exact_scan_finds(live: Filled) -> None:
    half = {key for key in live.numbers if key % 400 != 7 and key % 2}
    recalls = [check(live, vector_of(37 * number), 10, TOPIC, half) for number in range(12)]
    assert np.mean(recalls) >= 0.9
    assert check(live, vector_of(555), 10, TOPIC, half, exact=True) == 1


def test_one_that_is_gone_or_being_built_is_not_counted_on(live: Filled, execute: Execute) -> None:
    """The search is as wide as for the whole index then, and finds as much."""
    table = live.store.live().table
    name = HALF.name(table)
    half = {key for key in live.numbers if key % 400 != 7 and key % 2}
    execute(f"update pg_index set indisvalid = false where indexrelid = 'embedding.{name}'::regclass")
    try:
        assert scans(live, TOPIC).get("whole") and "topic = half" not in scans(live, TOPIC)
        assert check(live, vector_of(5), 10, TOPIC, half) >= 0.5
    finally:
        execute(f"update pg_index set indisvalid = true where indexrelid = 'embedding.{name}'::regclass")
    execute(f"alter index embedding.{name} rename to {name}_new")  # as in the moment before it takes its place
    try:
        assert check(live, vector_of(5), 10, TOPIC, half) >= 0.5
    finally:
        execute(f"alter index embedding.{name}_new rename to {name}")
