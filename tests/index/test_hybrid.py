"""Hybrid search: one statement over both parts, fused as the formulas say, by weights that were learned for live."""

from __future__ import annotations

import logging
from collections.abc import Callable

import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import materialize, measure

from vector_assets.errors import NotFound, UserError
from vector_assets.index.fusion import RRF_K, Found, Fusion, by_places, by_sum
from vector_assets.records import JudgedQuery
from vector_assets.search.ask import Ask, FusionName
from vector_assets.search.declared import declared_ask
from vector_assets.search.engine import SearchEngine
from vector_assets.search.hits import Hit
from vector_assets.stores.workspace import Workspace

#: Only the words say which row.
ASKED = [JudgedQuery(f"n{i}", f"about the cat whose body is {i}", {f"[{i}]": 1.0}) for i in range(4, 41, 4)]


@pytest.fixture
def store(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """40 animals and their words, not yet embedded."""
    animals(40)
    store = FakeStore(workspace, declare(lexical=["title", "body"]), KeywordEncoder())
    workspace.raw.observe(store.collection)
    return store


def ask(store: FakeStore, question: str, k: int = 10, fusion: FusionName = "calibrated") -> tuple[Hit, ...]:
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    return engine.answer(Ask(question, k=k, method="hybrid", fusion=fusion)).hits


def part(store: FakeStore, question: str, method: str) -> list[tuple[str, float]]:
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    return [(hit.key, hit.score) for hit in engine.search(question, k=100, method=method).hits]  # type: ignore[arg-type]


def known(store: FakeStore) -> dict[str, object]:
    return store.workspace.generations.measures(store.live())["fusion"]  # type: ignore[return-value]


def same(hits: tuple[Hit, ...], wanted: list[tuple[str, float]]) -> None:
    """Scores agree at every place; of equal scores SQL orders by the key itself, the formula by its text."""
    assert [hit.score for hit in hits] == pytest.approx([score for _, score in wanted[: len(hits)]])
    assert dict(wanted) == pytest.approx(dict(wanted) | {hit.key: hit.score for hit in hits})


def test_one_statement_says_what_the_formulas_say(store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    materialize(store)
    question = "cat or owl, or number 8"
    found = Found("q", part(store, question, "vector"), part(store, question, "bm25"), {})
    hits = ask(store, question, k=30, fusion="rrf")
    same(hits, by_places(found))
    (eight,) = (hit for hit in hits if hit.id == "8")
    assert eight.parts == pytest.approx({"vector": dict(found.vector)["[8]"], "bm25": dict(found.bm25)["[8]"]})
    assert any("bm25" not in hit.parts for hit in hits), "where a part did not find the row it has no score"
    with caplog.at_level(logging.INFO):
        assert [hit.score for hit in ask(store, question, k=30)] == [hit.score for hit in hits]
    assert "no weights were learned" in caplog.text, "calibrated without questions is rrf, and says so"
    assert str(known(store)["reason"]).startswith("rrf: no calibration questions")


def test_the_weights_are_learned_before_the_swap_and_again_with_other_questions(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.questions_learned = ASKED * 3
    said: list[str] = []
    materialize(store)
    learned = Fusion.of(known(store))
    assert learned.weight > 0
    assert learned.questions == 30
    assert learned.scores["calibrated"] > learned.scores["vector"]
    for query in ASKED[:2]:
        found = Found("q", part(store, query.text, "vector"), part(store, query.text, "bm25"), {})
        with caplog.at_level(logging.INFO):
            same(ask(store, query.text, k=40), by_sum(found, learned))
    assert "no weights" not in caplog.text
    version = known(store)["version"]
    measure(store)
    assert known(store)["version"] == version
    # Only vectors tell what is meant now: the words point elsewhere.
    store.questions_learned = [
        JudgedQuery(f"o{i}", f"cat dog {i}", {f"[{j}]": 1.0 for j in range(4, 41, 4) if j != i}) for i in range(1, 31)
    ]
    from vector_assets.stores.measuring import measure_newest

    measure_newest(store, maintenance=False, log=said.append)
    assert known(store)["version"] != version
    assert any(line.startswith("fusion: ") for line in said)
    again = Fusion.of(known(store))
    assert again.questions == 30
    found = Found("q", part(store, "cat dog 3", "vector"), part(store, "cat dog 3", "bm25"), {})
    same(ask(store, "cat dog 3", k=40), by_sum(found, again))


def test_sql_asks_it_in_one_call_and_hears_what_is_wrong(store: FakeStore, execute: Execute, name: str) -> None:
    materialize(store)
    call = f"select id, score, generation, vector_score, bm25_score from search.{name}_hybrid("
    rows = execute(call + "q => '[1,0,0,0,0]', words => 'cat 8', k => 3)")
    # Row 4 is the first cat of ten for the vectors, row 8 the best by words: both are first once and second once.
    assert [row[0] for row in rows[:2]] == [4, 8]
    assert rows[1][1:4] == (pytest.approx(1 / (RRF_K + 1) + 1 / (RRF_K + 2)), 1, pytest.approx(1.0))
    assert execute(call + "'[1,0,0,0,0]', null, 2)")[0][4] is None, "no words: the vectors' own order"
    assert len(execute(call + "'[1,0,0,0,0]', 'cat', null)")) == 40
    assert execute(call + "'[1,0,0,0,0]', 'cat', 0)") == []
    few = execute(call + """'[1,0,0,0,0]', 'dog 1', 40, null, 'rrf', '{"field": "id", "op": "<=", "value": 8}')""")
    assert sorted(row[0] for row in few) == list(range(1, 9)), "both parts look at these rows only"  # type: ignore[type-var]
    for wrong, code in (
        ("'[1,0,0,0,0]', 'cat', 3, 'another'", "55000"),
        ("'[1,0,0,0,0]', 'cat', 3, null, 'mean'", "22023"),
        ("'[1,0]', 'cat'", "22000"),
    ):
        with pytest.raises(psycopg.Error) as refused:
            execute(call + wrong + ")")
        assert refused.value.sqlstate == code
    with psycopg.connect(store.workspace.addresses.database.libpq) as connection:
        connection.execute("set role vector_assets_reader")
        assert connection.execute(call + "'[1,0,0,0,0]', 'cat')").fetchall()  # type: ignore[arg-type]


def test_only_where_words_are_indexed(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(8)
    store = FakeStore(workspace, declare(), KeywordEncoder())
    materialize(store)
    assert execute("select count(*) from pg_proc where proname = %s", (name + "_hybrid",)) == [(0,)]
    with pytest.raises(NotFound, match="declare lexical"):
        ask(store, "cat")
    with pytest.raises(UserError, match="looks for words"):
        Ask(image=b"x", method="hybrid")
    with pytest.raises(UserError, match="expected rrf or calibrated"):
        Ask("cat", method="hybrid", fusion="mean")  # type: ignore[arg-type]


def test_rows_in_chunks_come_with_their_chunk(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(f"insert into {name} values (1, 't', %s, 't', 1), (2, 'u', 'An owl.', 't', 1)", ("A cat.\n\nA dog.",))
    spaces = {"text": {"fields": ["body"], "chunk": {"by": "paragraph"}}}
    store = FakeStore(workspace, declare(spaces=spaces, lexical=["title", "body"]), KeywordEncoder())
    workspace.raw.observe(store.collection)
    materialize(store)
    hits = ask(store, "dog", fusion="rrf")
    assert [hit.id for hit in hits] == ["1", "2"]
    assert hits[0].chunk is not None
    assert hits[0].chunk.text == "A dog."
    assert set(hits[0].parts) == {"vector", "bm25"}
    assert set(hits[1].parts) == {"vector"}


def test_what_is_declared_is_asked_where_words_can_be(declare: Declare) -> None:
    declared = declare(lexical=["title"], search={"method": "hybrid", "fusion": "rrf"})
    asked = declared_ask(declared, "cat")
    assert (asked.method, asked.fusion) == ("hybrid", "rrf")
    assert declared_ask(declared, "cat", fusion="calibrated").fusion == "calibrated"
    assert declared_ask(declared, None, image=b"x").method == "vector"
    assert declared_ask(declared, None, like=[1]).method == "vector"
    assert declared_ask(declare(lexical=["title"]), "cat").method == "vector", "unless it is declared"
    with pytest.raises(ValueError, match="hybrid needs words; expected lexical"):
        declare(search={"method": "hybrid"})
