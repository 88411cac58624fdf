"""For which values an index of their own pays, by the model that searches choose by."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml

from vector_assets.index.partial import is_refused
from vector_assets.index.partial_proposals import ValueFound, declaration, may_pay, propose
from vector_assets.index.size_planner import index_bytes
from vector_assets.records import Generation
from vector_assets.spec import Index
from vector_assets.spec.partial import MOST, PartialIndex

GENERATION = Generation("c", 1, "live", "s", (), 384, "vector", ("topic",), "cosine", ef_search=100)


def value(name: str, share: float, *, vectors: int = 1_000_000) -> ValueFound:
    """Finding its rows costs a unit for each."""
    return ValueFound(PartialIndex("topic", name), share, share * vectors)


def test_values_in_the_middle_pay() -> None:
    shares = {"all": 1.0, "most": 0.6, "many": 0.3, "some": 0.05, "few": 0.01, "hardly": 0.001, "none": 0.0}
    found = propose(
        [value(name, share) for name, share in shares.items()], GENERATION, vectors=1_000_000, width=100, declared=()
    )
    assert [one.value for one in found] == ["some", "few", "many"], "what saves most first"
    some, few, _ = found
    # A million vectors, 5 % of them: every twentieth entry of the whole index matches.
    assert (some.way, some.looked_at, some.looked_at_then) == ("index", 2000, 100)
    assert (some.ms, some.ms_then) == (20.0, 1.0)
    assert some.vectors == 50_000 and some.bytes == index_bytes("hnsw", "float32", rows=50_000, dims=384)
    assert some.declare == "partial: {topic: [some]}"
    # 1 %: comparing 10,000 rows is cheaper than 10,000 entries, and dearer than 100.
    assert (few.way, few.looked_at, few.looked_at_then, few.ms) == ("exact", 10_000, 100, 8.0)


@pytest.mark.parametrize("vectors", [2_000, 20_000, 200_000, 5_000_000])
@pytest.mark.parametrize("width", [40, 300])
@pytest.mark.parametrize("share", [0.0001, 0.001, 0.01, 0.03, 0.1, 0.3, 0.5, 0.6])
def test_nothing_that_pays_is_left_out_before_the_planner_is_asked(vectors: int, width: int, share: float) -> None:
    for units in (0.2, 1.1, 4.5):
        one = ValueFound(PartialIndex("topic", "a"), share, units * share * vectors)
        if propose([one], GENERATION, vectors=vectors, width=width, declared=()):
            assert may_pay(share, vectors=vectors, width=width)
    assert not may_pay(0.6, vectors=vectors, width=width) and not may_pay(0.0001, vectors=20_000, width=width)


def test_a_small_table_needs_none() -> None:
    values = [value(name, share, vectors=5_000) for name, share in (("a", 0.3), ("b", 0.1), ("c", 0.03))]
    assert propose(values, replace(GENERATION, ef_search=40), vectors=5_000, width=40, declared=()) == ()


def test_what_is_declared_is_not_proposed_and_no_more_than_may_be() -> None:
    values = [value(f"v{number}", 0.02) for number in range(40)]
    declared = [PartialIndex("topic", "v0"), PartialIndex("topic", "v1")]
    found = propose(values, GENERATION, vectors=1_000_000, width=100, declared=declared)
    assert len(found) == MOST - 2 and not {"v0", "v1"} & {one.value for one in found}


@pytest.mark.parametrize("text", ["cs", "true", "No", "5", "two words", "it's", 'a "b"', "", "ü: [x]", "a\nb"])
def test_the_line_that_accepts_is_yaml(text: str) -> None:
    written = declaration([PartialIndex("topic", text), PartialIndex("my field", 3), PartialIndex("topic", "b")])
    assert yaml.safe_load(written) == {"topic": [text, "b"], "my field": [3]}


def test_what_was_refused_is_not_built_again_until_something_changed() -> None:
    declared = Index(recall=0.95)
    record = {"rows": 1000, "used": False, "recall": {"mean": 0.9}, "declared": [0.95, None]}
    assert is_refused(record, declared, 1000) and is_refused(record, declared, 1500)
    assert not is_refused(record, declared, 1501) and not is_refused(record, declared, 600)
    assert not is_refused(record, Index(recall=0.9), 1000), "less is declared"
    assert not is_refused(record | {"used": True}, declared, 1000)
    assert not is_refused(record | {"recall": None}, declared, 0), "it was never measured"
