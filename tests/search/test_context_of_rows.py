"""Context from a live collection: which chunks of a row are cited, what is stale, and when nothing is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest
from examples_at_hand import engine_of, live
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.errors import NotLive
from vector_assets.search.answers import Floor
from vector_assets.search.ask import Ask
from vector_assets.search.context import Context
from vector_assets.search.engine import SearchEngine
from vector_assets.stores.workspace import Workspace

CHUNKED = {"text": {"fields": ["body"], "chunk": {"by": "paragraph"}}}
BODIES = {
    1: "A cat sleeps.\n\nNothing else.\n\nThe cat wakes up.",
    2: "A fish swims.\n\nA cat looks at it.\n\nOne more cat comes.",
    3: "The dog barks.",
    4: "A cat sleeps.",
}


@pytest.fixture
def engine(workspace: Workspace, declare: Declare, execute: Execute, name: str) -> SearchEngine:
    """Four rows of paragraphs; bytes are counted, for keyword encoders have no tokenizer."""
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        for key, body in BODIES.items():
            connection.execute(f"insert into {name} values (%s, 't', %s, '', 1)", (key, body))
    return engine_of(live(FakeStore(workspace, declare(spaces=CHUNKED), KeywordEncoder())))


def context(engine: SearchEngine, ask: Ask, tokens: int = 1000) -> Context:
    return engine.context(ask, engine.answer(ask), tokens=tokens)


@pytest.mark.parametrize("method", ["vector", "exact", "svm"])
def test_every_near_chunk_of_a_row_is_cited_once_and_those_that_touch_are_one(
    engine: SearchEngine, method: str
) -> None:
    found = context(engine, Ask("a cat", k=3, method=method))  # type: ignore[arg-type]
    said = {(one.id, one.text) for one in found.passages}
    assert ("2", "A cat looks at it.\n\nOne more cat comes.") in said
    assert {text for row, text in said if row == "1"} <= {"A cat sleeps.", "The cat wakes up."}
    assert sorted(text for _, text in said).count("A cat sleeps.") == 1, "rows 1 and 4 say the same"
    assert not any("fish" in text or "dog" in text or "Nothing" in text for _, text in said)
    assert found.counted_by == "bytes" and found.tokens == len(found.text.encode())
    assert found.method == method and found.answered


def test_a_passage_that_moved_on_is_marked(engine: SearchEngine, execute: Execute, name: str) -> None:
    execute(f"update {name} set body = 'The dog howls!' where id = 3")
    (one,) = context(engine, Ask("a dog", k=1)).passages
    assert (one.id, one.text, one.stale) == ("3", "The dog howls!", True)


def test_rows_that_are_whole_are_cited_whole(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None]
) -> None:
    animals(8)
    engine = engine_of(live(FakeStore(workspace, declare(), KeywordEncoder())))
    found = context(engine, Ask("an owl", k=2))
    assert [(one.n, one.id, one.text, one.start, one.stop) for one in found.passages] == [
        (1, "2", "owl 2\nbody 2", 0, 12),
        (2, "6", "owl 6\nbody 6", 0, 12),
    ]
    assert found.text == "[1] owl 2\nbody 2\n\n[2] owl 6\nbody 6" and found.tokens == 34
    assert context(engine, Ask("an owl", k=2), tokens=33).tokens <= 33


def test_without_hits_there_is_no_answer_and_after_a_swap_no_context(engine: SearchEngine) -> None:
    ask = Ask("a cat")
    hits = engine.answer(ask)
    none = engine.context(ask, replace(hits, hits=()), tokens=100)
    assert (none.passages, none.tokens, none.answered) == ((), 0, False)
    assert none.why == "no answer (nothing was found)"
    floor = Floor(0.9, 0.7, 0.4)
    below = engine.context(ask, replace(hits, hits=(), floor=floor), tokens=100)
    assert not below.answered and below.why == floor.why and "below 0.7" in below.why
    with pytest.raises(NotLive, match="another generation went live meanwhile"):
        engine.context(ask, replace(hits, generation=99), tokens=100)


def test_a_row_without_vectors_takes_nothing_away_and_is_cited_only_where_it_has_text(
    engine: SearchEngine, execute: Execute, name: str
) -> None:
    ask = Ask("a cat", k=2)
    hits = engine.answer(ask)
    titled = replace(hits.hits[0], id="9", key="[9]", score=9.0, chunk=None, row={"title": "cat", "body": ""})
    texted = replace(titled, row={"title": "cat", "body": "Words found this."})
    by_words = replace(ask, method="bm25")  # what words find may have no vector: its title alone, or it is pending
    both = engine.context(by_words, replace(hits, hits=(titled, *hits.hits)), tokens=1000)
    assert both.answered and {one.id for one in both.passages} == {"1", "2"}, "the others are cited as they were"
    first = engine.context(by_words, replace(hits, hits=(texted, *hits.hits)), tokens=1000)
    assert next((one.id, one.text) for one in first.passages) == ("9", "Words found this.")
    assert {one.id for one in first.passages} == {"9", "1", "2"}
    alone = engine.context(by_words, replace(hits, hits=(titled,)), tokens=1000)
    assert (alone.passages, alone.answered) == ((), False)
    assert alone.why == "no answer (1 found, but it has no text that can be cited)"


def test_a_budget_too_small_for_any_passage_is_no_answer(engine: SearchEngine) -> None:
    found = context(engine, Ask("a cat", k=2), tokens=1)
    assert (found.passages, found.tokens, found.answered) == ((), 0, False)
    assert found.why == "no answer (2 found, but no passage of it fits into 1 tokens)"
