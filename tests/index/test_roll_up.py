"""The score of a row in chunks: its best one, or the mean of its best few; of vectors that stay what they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from hypothesis import given, settings
from hypothesis import strategies as st
from stages import materialize

from vector_assets.index.retrieve import Block, exact_rankings, rolled_up
from vector_assets.records import JudgedQuery, Key
from vector_assets.search.engine import SearchEngine
from vector_assets.source.keys import row_key
from vector_assets.stores.workspace import Workspace

# Cosines of the chunks of three rows to one question. By hand: by the best chunk b .9, a .8, c .7; by the mean of two
# a .75, c .7 (the only one it has), b .55; of three c .7, a .6, b .4.
CHUNKS = {"a": [0.3, 0.8, 0.7], "b": [0.9, 0.1, 0.1, 0.2], "c": [0.7]}
WANTED = {1: ["b", "a", "c"], 2: ["a", "c", "b"], 3: ["c", "a", "b"]}
SCORES = {1: [0.8, 0.9, 0.7], 2: [0.75, 0.55, 0.7], 3: [0.6, 0.4, 0.7]}


def blocks(size: int) -> Iterator[Block]:
    flat: list[tuple[Key, float]] = [((key,), value) for key, values in CHUNKS.items() for value in values]
    for start in range(0, len(flat), size):
        some = flat[start : start + size]
        vectors = np.array([[value, np.sqrt(1 - value**2)] for _, value in some], np.float32)
        yield [key for key, _ in some], vectors


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
@pytest.mark.parametrize("top", [1, 2, 3])
def test_a_row_scores_as_computed_by_hand_however_its_chunks_come(top: int, size: int) -> None:
    question = np.array([[1, 0]], np.float32)
    found = exact_rankings(blocks(size), question, [JudgedQuery("q", "", {})], top=top)
    assert found == {"q": [row_key((key,)) for key in WANTED[top]]}
    scored = rolled_up(((keys, question @ vectors.T) for keys, vectors in blocks(size)), top)
    by_key = {key[0]: float(score) for keys, scores in scored for key, score in zip(keys, scores[0], strict=True)}
    assert by_key == pytest.approx(dict(zip("abc", SCORES[top], strict=True)), abs=1e-6)


cosines = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=9)


@given(st.lists(cosines, min_size=1, max_size=12), st.integers(1, 12), st.integers(1, 6))
@settings(max_examples=100, deadline=None)
def test_any_chunks_in_any_blocks_have_the_mean_of_their_best(rows: list[list[float]], size: int, top: int) -> None:
    flat = [((number,), value) for number, values in enumerate(rows) for value in values]
    parts = [flat[start : start + size] for start in range(0, len(flat), size)]
    given_blocks = (([key for key, _ in part], np.array([[v for _, v in part]] * 2, np.float32)) for part in parts)
    found = [(key, scores[:, place]) for keys, scores in rolled_up(given_blocks, top) for place, key in enumerate(keys)]
    assert [key for key, _ in found] == [(number,) for number in range(len(rows))]
    for values, (_, scores) in zip(rows, found, strict=True):
        wanted = np.mean(sorted(values, reverse=True)[:top])
        np.testing.assert_allclose(scores, [wanted, wanted], atol=1e-6)


@pytest.fixture
def store(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> Callable[[dict[str, object]], FakeStore]:
    """Row 1 says cat once in two paragraphs, row 2 in both beside another word: the best chunk and the mean differ."""
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    for number, body in ((1, "A cat.\n\nA dog."), (2, "A cat and an owl.\n\nMore cat and owl."), (3, "Fish.\n\nFish.")):
        execute(f"insert into {name} values (%s, 'x', %s, 't', 1)", (number, body))
    encoder = KeywordEncoder()

    def make(chunk: dict[str, object]) -> FakeStore:
        space = {"fields": ["body"], "chunk": {"by": "paragraph", **chunk}}
        return FakeStore(workspace, declare(spaces={"text": space}), encoder)

    return make


def asked(store: FakeStore, method: str) -> list[tuple[str, float]]:
    reader = store.workspace.reader()
    try:
        engine = SearchEngine(reader, store.collection.name, store.reader_encoder)
        hits = engine.search("cat", method=method).hits  # type: ignore[arg-type]
    finally:
        reader.close()
    return [(hit.id, round(hit.score, 4)) for hit in hits]


def test_another_roll_up_encodes_nothing_makes_no_generation_and_changes_what_is_found(
    store: Callable[[dict[str, object]], FakeStore],
) -> None:
    best = store({})
    materialize(best)
    for method in ("vector", "exact"):
        assert asked(best, method)[:2] == [("1", 1.0), ("2", 0.7071)]
    count = len(best.chosen["text"].encoded)

    mean = store({"roll_up": "mean", "top": 2})
    report = mean.embed().latest
    assert (report.encoded, report.unchanged) == (0, 3)
    materialize(mean)
    assert len(mean.all()) == 1
    assert (mean.live().top, len(mean.chosen["text"].encoded)) == (2, count)
    for method in ("vector", "exact"):
        assert asked(mean, method)[:2] == [("2", 0.7071), ("1", 0.5)]
    live = mean.live()
    rankings = exact_rankings(
        mean.blocks(live), mean.questions(live, ["cat"]), [JudgedQuery("q", "cat", {})], top=live.top
    )
    assert rankings["q"][:2] == ["[2]", "[1]"], "evaluation ranks as search does"

    again = store({})
    materialize(again)
    assert (again.live().top, asked(again, "vector")[0]) == (1, ("1", 1.0))
