"""The index of words beside the vectors: synced with them, served by the same face, replaced whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import materialize, measure, states

from vector_assets.errors import CoverageError, NotFound, SourceError, UserError
from vector_assets.index.swap import promote
from vector_assets.records import JudgedQuery
from vector_assets.search.engine import SearchEngine
from vector_assets.stores.lexical import index as lexical_index
from vector_assets.stores.lexical.index import serving
from vector_assets.stores.lexical.rankings import word_rankings
from vector_assets.stores.lexical.sync import LexicalStore
from vector_assets.stores.workspace import Workspace

WORDS = {"lexical": ["title", "body"]}


@pytest.fixture
def animals_with_words(workspace: Workspace, declare: Declare, animals: Callable[[int], None]) -> FakeStore:
    """40 animals, live, with an index of the words of title and body."""
    animals(40)
    store = FakeStore(workspace, declare(**WORDS), KeywordEncoder())
    workspace.raw.observe(store.collection)
    materialize(store)
    return store


def ask(store: FakeStore, question: str, k: int = 40) -> list[str]:
    engine = SearchEngine(store.workspace.reader(), store.collection.name, store.reader_encoder)  # type: ignore[arg-type]
    return [hit.id for hit in engine.search(question, k=k, method="bm25").hits]


def tables(execute: Execute, store: FakeStore) -> list[object]:
    found = execute(
        "select relname from pg_class where relkind = 'r' and relname like %s order by 1",
        (store.collection.name + r"\_bm25\_%",),
    )
    return [name for (name,) in found]


def test_search_by_words_finds_rows_with_their_fields_and_follows_every_change(
    animals_with_words: FakeStore, execute: Execute, name: str
) -> None:
    store = animals_with_words
    assert ask(store, "cats and 8") == ["8", *(str(i) for i in range(4, 41, 4) if i != 8)]
    execute(f"update {name} set title = 'cats, cats', body = '' where id = 1")
    execute(f"insert into {name} (id, title) values (99, 'the cat')")
    execute(f"delete from {name} where id = 8")
    assert "99" not in ask(store, "cat")
    store.embed()
    assert ask(store, "cat")[:2] == ["1", "99"]
    assert sorted(map(int, ask(store, "cat"))) == sorted([*(i for i in range(4, 41, 4) if i != 8), 1, 99])
    engine = SearchEngine(store.workspace.reader(), name, store.reader_encoder)  # type: ignore[arg-type]
    hit = engine.search("cat", k=1, method="bm25").hits[0]
    assert (hit.row["title"], hit.stale, hit.score > 0) == ("cats, cats", False, True)


def test_nothing_to_do_writes_nothing_and_an_unread_column_is_nothing(
    animals_with_words: FakeStore, execute: Execute, name: str
) -> None:
    store = animals_with_words
    relation, lexical = store.relation, store.collection.lexical
    assert lexical
    before = execute(f"select count(*) from embedding.{tables(execute, store)[0]}")
    execute(f"update {name} set price = price + 1, note = 'other', topic = 'else'")
    report = store.workspace.lexical.sync(name, lexical, relation)
    assert (report.rows, report.added, report.removed, report.completed) == (40, 0, 0, False)
    assert execute(f"select count(*) from embedding.{tables(execute, store)[0]}") == before


def test_another_analyser_serves_once_it_is_complete_and_the_old_one_goes(
    animals_with_words: FakeStore, workspace: Workspace, declare: Declare, execute: Execute
) -> None:
    old = tables(execute, animals_with_words)
    assert ask(animals_with_words, "cats") and len(old) == 2
    store = FakeStore(workspace, declare(lexical={"fields": ["title"], "language": "none"}), KeywordEncoder())
    store.embed()
    assert len(tables(execute, store)) == 2 and not set(old) & set(tables(execute, store))
    assert ask(store, "cats") == [] and len(ask(store, "cat")) == 10
    without = FakeStore(workspace, declare(), KeywordEncoder())
    without.embed()
    assert tables(execute, without) == []
    with pytest.raises(NotFound, match="declare lexical"):
        ask(without, "cat")


def test_tables_of_an_older_layout_are_asked_by_what_was_made_for_them_until_new_ones_are_complete(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    animals(40)
    with monkeypatch.context() as before:
        before.setattr(lexical_index, "CODE_VERSION", lexical_index.CODE_VERSION - 1)
        store = FakeStore(workspace, declare(**WORDS), KeywordEncoder())
        workspace.raw.observe(store.collection)
        materialize(store)
        old = tables(execute, store)
    assert len(ask(store, "cat")) == 10
    collection, relation = store.collection, store.relation
    with workspace.database.connect() as connection:
        assert collection.lexical
        assert serving(workspace.database, connection, collection.name, collection.lexical) is None
    assert word_rankings(workspace.database, collection, relation, []) is None
    store.embed()
    assert len(ask(store, "cat")) == 10 and not set(old) & set(tables(execute, store))


def test_another_k1_asks_the_same_tables(
    animals_with_words: FakeStore, workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    before = tables(execute, animals_with_words)
    score = f"select score from search.{name}_bm25('cat', 1)"
    ((first,),) = execute(score)
    changed = {"fields": ["title", "body"], "k1": 0}
    store = FakeStore(workspace, declare(lexical=changed), KeywordEncoder())
    materialize(store)
    assert tables(execute, store) == before
    assert execute(score) != [(first,)]


def test_a_page_that_failed_is_done_by_the_next_sync(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    animals(40)
    collection = declare(**WORDS)
    lexical, relation = collection.lexical, workspace.raw.relation(collection)
    assert lexical
    monkeypatch.setattr(LexicalStore, "page", 15)
    monkeypatch.setattr(LexicalStore, "_fill", _dies_on_page(3))
    with pytest.raises(RuntimeError, match="killed"):
        workspace.lexical.sync(name, lexical, relation)
    monkeypatch.undo()
    report = workspace.lexical.sync(name, lexical, relation)
    assert (report.rows, report.added, report.completed) == (40, 10, True)


def test_a_candidate_whose_words_are_incomplete_may_not_go_live(
    animals_with_words: FakeStore, execute: Execute, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that the words passed over block, as rows without a vector do; rows that changed since only wait."""
    store = animals_with_words
    whole = store.check_coverage(store.live())
    assert whole.passed and "index of words: 0 pending (0 overdue), 0 without a source row" in whole.summary
    store.use(KeywordEncoder(seed="other"))
    store.embed()
    assert measure(store).decision.decision == "needs_evaluation"
    words = next(iter(tables(execute, store)))
    execute(f"update embedding.{words}_rows set row_digest = '' where k1 = 3")
    monkeypatch.setattr(store, "sync_words", lambda **_: None)
    with pytest.raises(CoverageError, match=r"index of words: 1 pending \(1 overdue\), 0 without a source row"):
        promote(store, store.catch_up, because="test")
    assert states(store)[1] == "live"
    monkeypatch.undo()
    store.sync_words(whole=True)
    execute(f"delete from embedding.{words}_rows where k1 = 3")
    execute(f"delete from {name} where id = 4")
    assert store.check_coverage(store.live()).numbers["words_overdue"] == 1, "a row that is not in it at all"
    assert store.check_coverage(store.live()).numbers["words_orphans"] == 0, "the check catches up with rows that went"
    store.sync_words(whole=True)
    assert promote(store, store.catch_up, because="test").live.number == 2


def _dies_on_page(number: int) -> Callable[..., object]:
    whole, seen = LexicalStore._fill, []

    def fill(self: LexicalStore, *arguments: object) -> object:
        seen.append(1)
        if len(seen) == number:
            raise RuntimeError("killed")
        return whole(self, *arguments)  # type: ignore[arg-type]

    return fill


def test_the_gate_asks_the_same_words_as_search(animals_with_words: FakeStore) -> None:
    store = animals_with_words
    found = store.word_rankings([JudgedQuery("q", "cats 8", {"[4]": 1.0}, own="[8]")])
    assert found is not None
    assert [key.strip("[]") for key in found["q"]] == [i for i in ask(store, "cats 8") if i != "8"]


def test_words_of_a_table_with_policies_are_refused(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(4)
    execute(f"alter table {name} enable row level security")
    with pytest.raises(SourceError, match="leave out lexical"):
        workspace.raw.relation(declare(**WORDS))
    assert workspace.raw.relation(declare()).secured


def test_an_image_cannot_be_looked_for_by_words(animals_with_words: FakeStore) -> None:
    engine = SearchEngine(animals_with_words.workspace.reader(), animals_with_words.collection.name, lambda _: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(UserError, match="looks for words"):
        engine.search("cat", image=b"x", method="bm25")


def test_a_filter_leaves_the_scores_of_the_rows_that_it_lets_through(
    animals_with_words: FakeStore, execute: Execute, name: str
) -> None:
    ask_sql = f"select * from search.{name}_bm25('cats and body 8', %s, %s)"
    every = execute(ask_sql, (None, None))
    some = '{"field": "price", "op": "<=", "value": 20}'
    assert execute(ask_sql, (None, some)) == [row for row in every if int(str(row[0])) <= 20]
    assert execute(ask_sql, (3, some)) == [row for row in every if int(str(row[0])) <= 20][:3]
    assert execute(ask_sql, (3, '{"field": "price", "op": ">", "value": 1000}')) == []
