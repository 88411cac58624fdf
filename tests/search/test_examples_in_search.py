"""Search by examples, through the reader role: --like, --unlike, svm and diverse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import psycopg
import pytest
from examples_at_hand import engine_of, live
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.errors import UserError
from vector_assets.search.ask import Ask, Method
from vector_assets.search.engine import SearchEngine
from vector_assets.search.filters import Filter
from vector_assets.search.hits import Hits
from vector_assets.stores.workspace import Workspace


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """40 animals, live: row i names animal i mod 4 of cat, dog, owl, fish."""
    animals(40)
    return live(FakeStore(workspace, declare(), KeywordEncoder()))


@pytest.fixture
def engine(store: FakeStore) -> SearchEngine:
    return engine_of(store)


def kinds(hits: Hits) -> list[str]:
    return [str(hit.row["title"]).split()[0] for hit in hits.hits]


@pytest.mark.parametrize("method", ["vector", "exact", "svm"])
def test_more_like_a_row_without_a_question(engine: SearchEngine, method: Method) -> None:
    found = engine.answer(Ask(like=("1",), k=9, method=method))  # row 1 is a dog
    assert kinds(found) == ["dog"] * 9
    assert "1" not in {hit.id for hit in found.hits} and found.method == method
    both = engine.answer(Ask(like=("1", "2"), k=18, method=method))
    assert sorted(kinds(both)) == ["dog"] * 9 + ["owl"] * 9


@pytest.mark.parametrize("method", ["vector", "svm"])
def test_what_is_not_wanted_moves_away(engine: SearchEngine, method: Method) -> None:
    asked = Ask("a cat and a dog", k=18, method=method)
    assert set(kinds(engine.answer(asked))) == {"cat", "dog"}
    away = engine.answer(Ask("a cat and a dog", unlike=("1",), k=9, method=method))
    assert kinds(away) == ["cat"] * 9
    assert "1" not in {hit.id for hit in engine.answer(Ask("a dog", unlike=("1",), k=40, method=method)).hits}


def test_the_machine_says_what_it_made_its_score_of(engine: SearchEngine) -> None:
    found = engine.answer(Ask("a cat", k=3, method="svm"))
    assert kinds(found) == ["cat"] * 3
    assert [hit.parts["vector_score"] for hit in found.hits] == pytest.approx([1.0] * 3)
    again = engine.answer(Ask("a cat", k=3, method="svm"))
    assert [(hit.id, hit.score) for hit in again.hits] == [(hit.id, hit.score) for hit in found.hits]


def test_a_filter_holds_for_what_the_machine_and_examples_find(engine: SearchEngine) -> None:
    topic: Filter = {"field": "topic", "op": "=", "value": "t1"}
    for method in ("vector", "svm"):
        found = engine.answer(Ask(like=("1",), filter=topic, k=40, method=method, diverse=0.2))
        assert {hit.row["topic"] for hit in found.hits} == {"t1"}
        assert len(found.hits) == 13, "fourteen rows have the topic, and one of them is liked"


def test_rows_that_repeat_make_way(engine: SearchEngine) -> None:
    plain = engine.answer(Ask("a cat, a cat, an owl", k=4))
    assert len(set(kinds(plain))) <= 2
    mixed = engine.answer(Ask("a cat, a cat, an owl", k=4, diverse=0.9))
    assert set(kinds(mixed)[:2]) == {"cat", "owl"}
    assert mixed.hits[0].score == pytest.approx(plain.hits[0].score), "of rows that are alike, any"


def test_examples_that_are_none_are_refused_in_one_line(
    engine: SearchEngine, store: FakeStore, execute: Execute
) -> None:
    name = store.collection.name
    cases = {
        "999": rf"--like 999: collection {name} has no such row",
        "abc": rf"--like abc: is no key of collection {name}: invalid input syntax for type bigint",
    }
    for given, message in cases.items():
        with pytest.raises(UserError, match=message):
            engine.answer(Ask(like=(given,)))
    execute(f"insert into {name} values (41, '', '', 't', 1, 'n'), (42, 'poison', '', 't', 1, 'n')")
    with pytest.raises(UserError, match=r"--unlike 41: the row is not embedded yet"):
        engine.answer(Ask(unlike=("41",)))
    store.embed()
    with pytest.raises(UserError, match=r"--like 41: the row has no vector: there is no text in it"):
        engine.answer(Ask(like=("41",)))
    with pytest.raises(UserError, match=r"--like 42: the row has no vector: it could not be encoded"):
        engine.answer(Ask(like=("42",)))
    with pytest.raises(UserError, match="nothing is asked"):
        Ask()


def test_keys_of_several_columns_are_named_as_hits_show_them(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(
        f'create table {name} ("a%b" text, n int, title text, body text, topic text, price float8, '
        'primary key ("a%b", n))'
    )
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        for number in range(12):
            word = ("cat", "dog")[number % 2]
            connection.execute(
                f"insert into {name} values (%s, %s, %s, '', '', 1)", (f'x"{number}', number, f"{word} {number}")
            )  # fmt: skip
    engine = engine_of(live(FakeStore(workspace, declare(), KeywordEncoder())))
    first = engine.search("a cat", k=1).hits[0]
    assert first.id == first.key and first.id.startswith('["x\\"')
    for method in ("vector", "svm"):
        found = engine.answer(Ask(like=(first.id,), k=5, method=method))
        assert kinds(found) == ["cat"] * 5 and first.id not in {hit.id for hit in found.hits}
    with pytest.raises(UserError, match=r"--like 4: expected a JSON array of a%b, n, as search shows ids"):
        engine.answer(Ask(like=("4",)))


def test_rows_in_chunks_are_liked_as_the_mean_of_their_chunks(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    bodies = {1: "A cat.\n\nA dog.", 2: "A cat sits.", 3: "A dog sits.", 4: "An owl.\n\nA cat here.", 5: "A fish."}
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        for key, body in bodies.items():
            connection.execute(f"insert into {name} values (%s, 't', %s, '', 1)", (key, body))
    chunked = {"text": {"fields": ["body"], "chunk": {"by": "paragraph"}}}
    store = live(FakeStore(workspace, declare(spaces=chunked), KeywordEncoder()))
    engine = engine_of(store)
    found = engine.answer(Ask(like=("1",), k=3))
    assert {hit.id for hit in found.hits} == {"2", "3", "4"}
    assert np.allclose([hit.score for hit in found.hits], 1 / np.sqrt(2), atol=1e-6), "half a cat, half a dog"
    machine = engine.answer(Ask("a cat", k=3, method="svm"))
    assert [hit.id for hit in machine.hits] == ["1", "2", "4"] and machine.hits[2].chunk is not None
    assert machine.hits[2].chunk.text == "A cat here."


def test_the_only_row_there_is_leaves_nothing_to_tell_apart(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(f"insert into {name} values (1, 'cat', '', '', 1)")
    engine = engine_of(live(FakeStore(workspace, declare(), KeywordEncoder())))
    assert [hit.id for hit in engine.answer(Ask("a dog", method="svm")).hits] == ["1"]
    assert engine.answer(Ask(like=("1",), method="svm")).hits == ()
