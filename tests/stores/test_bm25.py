"""BM25 in Postgres: the same rankings and scores as bm25s over the same words, whatever was written and merged."""

from __future__ import annotations

import itertools
import json
import unicodedata
from collections.abc import Callable, Sequence

import bm25s
import numpy as np
import pytest
from fakes import Execute
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import sql

from vector_assets.index.lexical import words as plain_words
from vector_assets.records import Generation
from vector_assets.spec import Collection
from vector_assets.stores.lexical import merge as merging
from vector_assets.stores.lexical import sync as lexical_sync
from vector_assets.stores.lexical import words as cutting
from vector_assets.stores.lexical.index import LexicalIndex
from vector_assets.stores.lexical.sync import LexicalReport
from vector_assets.stores.search_sql import bm25 as bm25_sql
from vector_assets.stores.search_sql import bm25_filter
from vector_assets.stores.search_sql.bm25 import bm25_function, compose_bm25
from vector_assets.stores.search_sql.made import Served
from vector_assets.stores.workspace import Workspace

_numbers = itertools.count(1)


class Words:
    """A table ``public.<name>`` with an index of its words and its function, without any vectors."""

    def __init__(self, workspace: Workspace, execute: Execute, collection: Collection) -> None:
        self.workspace, self.execute, self.collection = workspace, execute, collection
        self.store = workspace.lexical

    @property
    def index(self) -> LexicalIndex:
        assert self.collection.lexical
        return LexicalIndex.declared(self.collection.name, self.collection.lexical, self.workspace.database.names)

    def sync(self, *, whole: bool = False) -> LexicalReport:
        assert self.collection.lexical
        relation = self.workspace.raw.relation(self.collection)
        return self.store.sync(self.collection.name, self.collection.lexical, relation, whole=whole)

    def cut(self, text: str) -> list[str]:
        ((found,),) = self.execute(f'select embedding."{self.index.name}_words"(%s)', (text,))
        return list(found)  # type: ignore[call-overload]

    def show(self) -> None:
        """Make the function, as the swap of a generation does."""
        relation = self.workspace.raw.relation(self.collection)
        nothing = Generation(self.collection.name, 1, "live", "", (), 1, "vector", (), "cosine")
        served = Served(self.collection, nothing, relation, self.workspace.database.names, "public")
        lexical = self.collection.lexical
        assert lexical
        with self.workspace.database.connect() as connection:
            connection.execute(bm25_function(served, self.index).definition)
            # The same with filters that are SQL themselves.
            name = self.workspace.database.names.table("search", self.collection.name + "_those")
            words, path = sql.SQL("filter->>'sql'"), sql.SQL("pg_catalog, pg_temp")
            connection.execute(
                compose_bm25(name, self.index, relation, lexical, guard=sql.SQL(""), path=path, condition=words)
            )

    def ask(self, question: str, k: int | None = 10) -> list[tuple[object, float]]:
        found = self.execute(f"select * from search.{self.collection.name}_bm25(%s, %s)", (question, k))
        return [(key, float(str(score))) for key, score in found]

    def those(self, question: str, k: int | None, condition: str) -> list[tuple[object, float]]:
        """The same among the rows ``r`` that a condition lets through."""
        asked = (question, k, json.dumps({"sql": condition}))
        found = self.execute(f"select * from search.{self.collection.name}_those(%s, %s, %s)", asked)
        return [(key, float(str(score))) for key, score in found]

    def expected(self, question: str, k: int | None = 10) -> list[tuple[object, float]]:
        """The same by bm25s, over the words that Postgres cuts."""
        lexical = self.collection.lexical
        assert lexical
        fields = ", ".join(lexical.fields)
        rows = self.execute(f"select id, concat_ws(E'\\n', {fields}) from {self.collection.name} order by id")
        tokens = [self.cut(str(text)) for _, text in rows]
        return scored(tokens, self.cut(question), [key for key, _ in rows], lexical.k1, lexical.b)[:k]


def scored(
    tokens: Sequence[list[str]], question: list[str], keys: Sequence[object], k1: float, b: float
) -> list[tuple[object, float]]:
    """The rows that have one of the words, best first, by bm25s."""
    known = {word: number for number, word in enumerate(sorted({word for each in tokens for word in each}))}
    asked = [known[word] for word in question if word in known]
    if not asked:
        return []
    engine = bm25s.BM25(method="lucene", k1=k1, b=b, dtype="float64", csc_backend="scipy")
    engine.index(([[known[word] for word in each] for each in tokens], known), show_progress=False)
    scores = engine.get_scores_from_ids(asked)
    order = sorted(np.flatnonzero(scores > 0), key=lambda n: (-round(float(scores[n]), 9), keys[n]))
    return [(keys[n], float(scores[n])) for n in order]


def same(found: list[tuple[object, float]], expected: list[tuple[object, float]]) -> None:
    assert [key for key, _ in found] == [key for key, _ in expected]
    np.testing.assert_allclose([score for _, score in found], [score for _, score in expected], rtol=1e-6, atol=1e-6)


@pytest.fixture
def make(workspace: Workspace, execute: Execute) -> Callable[..., Words]:
    """Makes a table with columns title and body, and the index of its words by some declaration."""

    def made(**lexical: object) -> Words:
        name = f"words{next(_numbers)}"
        execute(f"create table {name} (id bigint primary key, title text, body text, note text)")
        declared = Collection.model_validate(
            {
                "name": name,
                "source": {"kind": "postgres", "table": name},
                "fields": {"title": "text", "body": "text"},
                "spaces": {"text": {"fields": ["title"]}},
                "lexical": {"fields": ["title", "body"]} | lexical,
            }
        )
        return Words(workspace, execute, declared)

    return made


_WORDS = ["cat", "cats", "dog", "owl", "fish", "fishes", "the", "and", "running", "ran", "Äpfel", "x1"]
_TEXTS = st.lists(st.sampled_from([*_WORDS[:3], *_WORDS]), max_size=12).map(" ".join)
_CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 12), _TEXTS),
        st.tuples(st.just("delete"), st.integers(1, 12), st.just("")),
        st.tuples(st.sampled_from(["sync", "merge", "fold", "sweep"]), st.just(0), st.just("")),
    ),
    max_size=16,
)


@pytest.mark.parametrize(
    ("language", "batch", "most", "looked_up", "deepest"),
    [("english", 1, 1, 0, 0), ("none", 1, 9, 10**6, 400), ("english", 4000, 40000, 20, 400), ("none", 6, 12, 1, 0)],
)
def test_scores_are_those_of_bm25s_after_any_changes(
    make: Callable[..., Words], monkeypatch: pytest.MonkeyPatch, language: str, batch: int, most: int, looked_up: int,
    deepest: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(bm25_sql, "_FIRST", 1)
    monkeypatch.setattr(bm25_sql, "_BATCH", batch)
    monkeypatch.setattr(bm25_sql, "_MOST", most)
    monkeypatch.setattr(bm25_sql, "_BEST", 1)
    for module in (bm25_sql, bm25_filter):
        monkeypatch.setattr(module, "DEEPEST", deepest)
    monkeypatch.setattr(bm25_sql, "_LOOKED_UP", looked_up)
    monkeypatch.setattr(lexical_sync.LexicalStore, "page", 3)
    words = make(language=language)
    words.sync()
    words.show()
    table = words.collection.name

    @given(changes=_CHANGES, question=_TEXTS, k=st.sampled_from([1, 2, 5, 30, None]))
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), phases=[Phase.generate])
    def holds(changes: list[tuple[str, int, str]], question: str, k: int | None) -> None:
        for what, key, text in changes:
            if what == "put":
                words.execute(
                    f"insert into {table} values (%s, %s, %s) on conflict (id) do update set body = excluded.body",
                    (key, "cat" if key % 3 else None, text),
                )
            elif what == "delete":
                words.execute(f"delete from {table} where id = %s", (key,))
            elif what == "fold":
                words.store.maintain(table, words.collection.lexical)  # type: ignore[arg-type]
            else:
                words.sync(whole=what == "sweep")
        words.sync()
        same(words.ask(question, k), words.expected(question, k))
        odd = [hit for hit in words.expected(question, None) if int(str(hit[0])) % 2]
        same(words.those(question, k, "r.id % 2 = 1"), odd[:k])

    holds()


@pytest.mark.parametrize("steep", [1.0, 0.1])
def test_long_questions_of_common_words_over_many_rows_lose_none_of_the_best(
    make: Callable[..., Words], monkeypatch: pytest.MonkeyPatch, steep: float
) -> None:
    """Words as frequent as in a language, texts of different lengths: rows are dropped, and words left unread."""
    monkeypatch.setattr(bm25_sql, "_FIRST", 10)
    monkeypatch.setattr(bm25_sql, "_BATCH", 40)
    monkeypatch.setattr(bm25_sql, "_MOST", 300)
    monkeypatch.setattr(bm25_sql, "_BEST", 5)
    draw = np.random.default_rng(0)
    vocabulary = np.array([f"w{number}" for number in range(120)])
    share = np.arange(2, 122) ** -steep
    share /= share.sum()
    words = make(language="none")
    texts = [" ".join(draw.choice(vocabulary, size=int(draw.integers(2, 40)), p=share)) for _ in range(1500)]
    words.execute(
        f"insert into {words.collection.name} select n, '', t from unnest(%s::text[]) with ordinality u (t, n)",
        (texts,),
    )
    words.execute(f"analyze {words.collection.name}")
    words.sync()
    words.show()
    known = [plain_words(text) for text in texts]
    for count in (1, 4, 9, 14, 14, 20, 20, 30, 30):
        question = " ".join(draw.choice(vocabulary[:80], size=count))
        for k in (1, 10, 40):
            expected = scored(known, plain_words(question), range(1, len(texts) + 1), 1.2, 0.75)
            same(words.ask(question, k), expected[:k])
            for first, last in ((1, 700), (1, 30), (6, 1490)):  # many, few, nearly all
                those = [hit for hit in expected if first <= int(str(hit[0])) <= last]
                same(words.those(question, k, f"r.id between {first} and {last}"), those[:k])
    # A third of the rows are expected to match; of the best ones hardly any does.
    expected = scored(known, ["w9", "w1"], range(1, len(texts) + 1), 1.2, 0.75)
    those = [hit for hit in expected if "w9" not in known[int(str(hit[0])) - 1]]
    for k in range(1, 40, 2):
        same(words.those("w9 w1", k, "strpos(r.body || ' ', 'w9 ') < 1"), those[:k])


def test_a_row_of_the_more_common_word_alone_may_be_the_best(
    make: Callable[..., Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows of the rarer word reach nearly what the other word can add: it has to be read."""
    monkeypatch.setattr(bm25_sql, "_FIRST", 1)
    monkeypatch.setattr(bm25_sql, "_BATCH", 1)
    words = make(language="none")
    texts = ["b " * 20, *["a x y z"] * 4, *["b x y z v w"] * 8, *["x y z v w"] * 20]
    words.execute(
        f"insert into {words.collection.name} select n, '', t from unnest(%s::text[]) with ordinality u (t, n)",
        (texts,),
    )
    words.sync()
    words.show()
    found = words.expected("a b", None)
    assert found[0][0] == 1 and 0.9 < found[1][1] / found[0][1] < 1
    same(words.ask("a b", 1), found[:1])


def test_words_are_cut_as_they_are_elsewhere(make: Callable[..., Words]) -> None:
    plain = make(language="none")
    plain.sync()
    for text in (
        "Plain words, CUT at: hyphens-and_underscores; e-mail@host.com/path?x=1.5e3 3d",
        "Größe ÄÖÜ straße Ωμέγα Привет мир déjà-vu “quoted” – dash…",
        "日本語の検索 mixed漢字text カタカナ 한국어 단어",
        "",
        "  \n\t .,; ",
    ):
        assert plain.cut(text) == plain_words(text)


@pytest.mark.parametrize(
    "text",
    [
        "हिन्दी विद्यालय में पढ़ाई", "नेपाली भाषा र संस्कृति", "தமிழ் இலக்கியம்", "বাংলা সাহিত্য", "తెలుగు భాష", "ಕನ್ನಡ ಭಾಷೆ", "മലയാളം ഭാഷ",
        "සිංහල භාෂාව", "اللُّغَةُ العَرَبِيَّة", "שָׁלוֹם עוֹלָם", "ภาษาไทย น้ำ", "Việt Nam café Ångström",
    ],
)  # fmt: skip
def test_no_mark_of_any_script_cuts_a_word(make: Callable[..., Words], text: str) -> None:
    plain = make(language="none")
    plain.sync()
    wanted = [unicodedata.normalize("NFC", word).lower() for word in text.split()]
    assert plain.cut(text + " ।") == wanted == plain_words(text + " ।")


def test_composed_and_decomposed_letters_are_one_word(make: Callable[..., Words]) -> None:
    words = make(language="none")
    apart = unicodedata.normalize("NFD", "café Ångström")
    assert len(apart) > len("café Ångström")
    words.execute(f"insert into {words.collection.name} values (1, %s, ''), (2, 'tea', '')", (apart,))
    words.sync()
    words.show()
    assert words.cut(apart) == words.cut("café Ångström") == ["café", "ångström"]
    assert [row[0] for row in words.ask("café", None)] == [1]


def test_where_letters_became_others_the_words_are_cut_anew(
    make: Callable[..., Words], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = make(language="none")
    words.execute(f"insert into {words.collection.name} values (1, 'größe', '')")
    assert words.sync().added == 1 and words.sync().added == 0
    monkeypatch.setattr(cutting, "_collation", lambda connection: sql.SQL(' collate "C"'))  # an older server's
    assert words.sync().added == 1 and words.cut("größe") == ["gr", "e"]
    monkeypatch.undo()
    assert words.sync().added == 1 and words.cut("größe") == ["größe"] and words.sync().added == 0


def test_a_language_stems_and_leaves_out_its_stop_words(make: Callable[..., Words]) -> None:
    english, german, every = make(), make(language="german"), make(stop_words=False)
    for one in (english, german, every):
        one.sync()
    assert english.cut("The cats were running to the CONNECTION") == ["cat", "run", "connect"]
    assert every.cut("The cats were") == ["the", "cat", "were"]
    assert german.cut("Die Häuser und der Baum") == german.cut("hauses BAUMES")


def test_counts_go_beyond_what_a_tsvector_keeps_and_end_where_it_is_said(make: Callable[..., Words]) -> None:
    words = make(language="none")
    table = words.collection.name
    words.execute(
        f"insert into {table} values (1, 'a', repeat('cat ', 5000) || repeat('filler ', 20000)), (2, 'cat', '')"
    )
    words.sync()
    found = words.execute(
        f'select r.k1, r.length, t.times from embedding."{words.index.name}_rows" r, unnest(r.terms, r.times) '
        "t (term, times) where t.term = hashtextextended('cat', 0) order by 1"
    )
    assert found == [(1, 1 + 4095 + 4095, 4095), (2, 1, 1)]


def test_rows_of_a_copied_source_and_of_a_key_of_two_columns_are_followed(
    workspace: Workspace, execute: Execute, make: Callable[..., Words]
) -> None:
    one = make()
    execute(f"alter table {one.collection.name} drop constraint {one.collection.name}_pkey")
    execute(f"alter table {one.collection.name} alter note set not null, add primary key (note, id)")
    execute(f"insert into {one.collection.name} values (1, 'cat', null, 'b'), (1, 'cat', null, 'a'), (2, 'x', '', 'a')")
    one.sync()
    one.show()
    found = execute(f"select * from search.{one.collection.name}_bm25('cats')")
    assert [row[:2] for row in found] == [("a", 1), ("b", 1)]
    assert found[0][2] == found[1][2]


def test_folding_keeps_what_is_found_and_drops_what_was_taken_away(make: Callable[..., Words]) -> None:
    words = make(language="none")
    table, lexical = words.collection.name, words.collection.lexical
    assert lexical
    words.execute(f"insert into {table} select i, 'cat ' || i % 7, 'dog' from generate_series(1, 300) i")
    words.sync()
    words.show()
    for round in range(3):
        words.execute(f"update {table} set body = 'dog {round}' where id % 2 = 0")
        words.execute(f"delete from {table} where id = {round + 1}")
        words.sync()
    before, scanned = words.ask("cat 3 dog", None), f'select count(*), sum(n) from embedding."{words.index.name}"'
    assert len(before) == 297
    ((rows, held),) = words.execute(scanned)
    words.store.maintain(table, lexical)
    ((fewer, same_sum),) = words.execute(scanned)
    assert (held, words.ask("cat 3 dog", None)) == (same_sum, before)
    assert int(str(fewer)) < int(str(rows)) / 2
    assert words.execute(f'select 1 from embedding."{words.index.name}" where n < 0') == []
    assert words.execute(
        "select documents from ops.bm25_deltas where collection = %s", (table,)
    ) == [(297,)]  # fmt: skip


def test_many_small_syncs_are_folded_by_themselves(make: Callable[..., Words], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "PAGES", 3)
    words = make()
    for number in range(6):
        words.execute(f"insert into {words.collection.name} values ({number}, 'cat')")
        words.sync()
    ((most,),) = words.execute(f'select max(n) from embedding."{words.index.name}"')
    assert int(str(most)) >= 4
