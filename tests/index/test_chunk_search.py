"""Search over chunks: a row is found once, by its best chunk, and as many rows as there are."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.commands.evaluating import evaluated_json
from vector_assets.index.retrieve import exact_rankings
from vector_assets.index.swap import settle
from vector_assets.records import JudgedPassage, JudgedQuery, Key, Vectors
from vector_assets.search.engine import SearchEngine
from vector_assets.show.hits import hits_json
from vector_assets.stores.evaluating import evaluate_live
from vector_assets.stores.mapping import _read
from vector_assets.stores.measuring import measure_newest
from vector_assets.stores.workspace import Workspace

DIMS = 16
CHUNKS = {"text": {"fields": ["body"], "chunk": {"by": "paragraph"}}}


class NumberEncoder(KeywordEncoder):
    """A vector that only the number in the text decides; numbers of one thousand are near one another."""

    def _vectors(self, texts: object) -> Vectors:
        numbers = [int("".join(filter(str.isdigit, str(text)))) for text in texts]  # type: ignore[attr-defined]
        return np.stack([vector_of(number) for number in numbers])


def vector_of(number: int) -> Vectors:
    vector = np.random.default_rng(number // 1000).normal(size=DIMS) + 0.2 * np.random.default_rng(number).normal(
        size=DIMS
    )
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


def loaded(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, rows: dict[int, list[int]]
) -> FakeStore:
    """Rows of these numbers, each number a paragraph; indexed and live."""
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        for key, numbers in rows.items():
            body = "\n\n".join(f"Paragraph {number}." for number in numbers)
            connection.execute(f"insert into {name} values (%s, 't', %s, 'x', 1)", (key, body))  # type: ignore[arg-type]
    store = FakeStore(workspace, declare(spaces=CHUNKS), NumberEncoder(["1 cat"], width=DIMS), page=500)
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    return store


def best_rows(rows: dict[int, list[int]], question: Vectors) -> list[tuple[int, int, float]]:
    """Row, place of its best chunk and score, best first, by numpy."""
    found = []
    for key, numbers in rows.items():
        scores = [float(vector_of(number) @ question) for number in numbers]
        place = int(np.argmax(scores))
        found.append((key, place, scores[place]))
    return sorted(found, key=lambda one: (-one[2], one[0]))


ROWS = {key: [1000 * (key % 20) + 40 * (key // 20) + place for place in range(1 + key % 30)] for key in range(1, 301)}
#: One document that is nearer to the question than anything else, over and over.
ROWS[301] = [25000 + place for place in range(600)]


@pytest.fixture(scope="module")
def store(workspace: Workspace) -> Iterator[FakeStore]:
    """301 documents with 4,900 chunks, one of them with 600."""
    from vector_assets.spec import Collection

    url = workspace.addresses.database.libpq

    def execute(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[arg-type]
        return []

    def declare(**changes: object) -> Collection:
        fields = {"title": "text", "body": "text", "topic": "category", "price": "number"}
        source = {"kind": "postgres", "table": "chunked"}
        return Collection.model_validate({"name": "chunked", "source": source, "fields": fields} | changes)

    yield loaded(workspace, declare, execute, "chunked", ROWS)


@pytest.mark.parametrize("k", [1, 10, 100, 301, 400])
@pytest.mark.parametrize("exact", [False, True])
def test_k_distinct_rows_by_their_best_chunk(store: FakeStore, workspace: Workspace, k: int, exact: bool) -> None:
    question = vector_of(25300)
    hits = workspace.reader().search(store.live(), question, k=k, exact=exact)
    wanted = best_rows(ROWS, question)[:k]
    assert len({hit.id for hit in hits}) == len(hits) == min(k, 301), "never fewer while there are as many"
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    if exact:
        assert [(int(hit.id), hit.chunk.number if hit.chunk else None) for hit in hits] == [one[:2] for one in wanted]
        np.testing.assert_allclose([hit.score for hit in hits], [one[2] for one in wanted], atol=1e-6)
    else:
        assert len({int(hit.id) for hit in hits} & {one[0] for one in wanted}) >= 0.9 * min(k, 301)


def test_an_index_that_gives_up_is_finished_by_a_scan(store: FakeStore, workspace: Workspace) -> None:
    """With next to nothing allowed to be looked at, the rows are all found all the same, and exactly."""
    question = vector_of(25300)
    vector = "[" + ",".join(map(str, question)) + "]"
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        connection.execute("set hnsw.max_scan_tuples = 1")
        rows = connection.execute("select id from search.chunked(%s, 250)", (vector,)).fetchall()
    assert [row[0] for row in rows] == [one[0] for one in best_rows(ROWS, question)[:250]]


@pytest.mark.parametrize(("k", "rows"), [("null", 301), ("2147483647", 301), ("0", 0)])
def test_any_number_can_be_asked_for(store: FakeStore, execute: Execute, k: str, rows: int) -> None:
    vector = "[" + ",".join(map(str, vector_of(7000))) + "]"
    assert execute(f"select count(distinct id), count(*) from search.chunked('{vector}', {k})") == [(rows, rows)]


def test_the_index_is_used_and_settings_do_not_leak(store: FakeStore, workspace: Workspace) -> None:
    vector = "[" + ",".join(map(str, vector_of(7000))) + "]"
    count = "select pg_stat_get_xact_numscans('embedding.chunked_g1_hnsw'::regclass)"
    show = "select current_setting('hnsw.ef_search'), current_setting('enable_indexscan')"
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        connection.execute(f"select * from search.chunked('{vector}', 10)")  # type: ignore[arg-type]
        used = connection.execute(count).fetchone()  # type: ignore[arg-type]
        assert used
        assert 1 <= used[0] <= 3, "again, wider, where the nearest chunks are of few rows"
        connection.execute(f"select * from search.chunked('{vector}', 300, exact => true)")  # type: ignore[arg-type]
        assert connection.execute(count).fetchone() == used  # type: ignore[arg-type]
        assert connection.execute(show).fetchone() == ("40", "on")  # type: ignore[arg-type]


def test_exact_rankings_and_the_function_agree(store: FakeStore, workspace: Workspace) -> None:
    questions = np.stack([vector_of(number) for number in (25300, 7001, 12345)])
    judged = [JudgedQuery(str(number), "", {}) for number in range(3)]
    rankings = exact_rankings(store.blocks(store.live()), questions, judged, k=50)
    for number, question in enumerate(questions):
        hits = workspace.reader().search(store.live(), question, k=50, exact=True)
        assert rankings[str(number)] == [hit.key for hit in hits]


def test_evaluation_counts_a_document_once(store: FakeStore) -> None:
    store.questions_asked = [JudgedQuery("a", "25300", {"[301]": 1.0}), JudgedQuery("b", "7001", {"[301]": 1.0})]
    exact, asked = evaluate_live(store, method="exact"), evaluate_live(store, method="vector")
    assert exact.scores["recall@100"] >= 0.5
    assert exact.scores["mrr@10"] == asked.scores["mrr@10"] >= 0.5


def test_the_map_has_one_point_per_row(store: FakeStore) -> None:
    vectors, labels = _read(store, 1, "topic")
    assert vectors.shape == (301, DIMS)
    assert len(labels) == 301
    means = np.stack([np.mean([vector_of(number) for number in numbers], axis=0) for numbers in ROWS.values()])
    np.testing.assert_allclose(np.sort(vectors[:, 0]), np.sort(means[:, 0]), atol=1e-5)


def test_the_view_has_one_line_per_row(store: FakeStore, execute: Execute) -> None:
    assert execute("select count(*), count(distinct id) from search.chunked_rows") == [(301, 301)]


def test_a_long_row_is_one_candidate_however_many_blocks_it_spans() -> None:
    """1,000 chunks of one row, all better than the others', in blocks of 3: the others are ranked all the same."""
    question = np.array([[1, 0]], np.float32)
    angles = {1: [0.1] * 1000, **{key: [0.5 + key / 100] for key in range(2, 60)}}
    chunks = [((key,), [np.cos(a), np.sin(a)]) for key, some in angles.items() for a in some]

    def blocks() -> Iterator[tuple[list[Key], Vectors]]:
        for start in range(0, len(chunks), 3):
            some = chunks[start : start + 3]
            yield [key for key, _ in some], np.array([vector for _, vector in some], np.float32)

    found = exact_rankings(blocks(), question, [JudgedQuery("q", "", {})], k=40)
    assert found == {"q": [f"[{key}]" for key in range(1, 41)]}
    assert exact_rankings(iter([]), question, [JudgedQuery("q", "", {})]) == {"q": []}


def test_a_hit_shows_its_passage_and_says_when_it_has_moved_on(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    body = "All about an owl.\n\nAnd here a cat's life, told."
    execute(f"insert into {name} values (1, '  A title. ', %s, 't', 1.5), (2, 'dog', null, 't', 2)", (body,))
    spaces = {
        "text": {"fields": ["title", "price", "body"], "chunk": {"by": "paragraph"}},
        "head": {"fields": ["title"]},
    }
    store = FakeStore(workspace, declare(spaces=spaces), KeywordEncoder(), KeywordEncoder(["title", "dog"]))
    store.embed()
    measured = measure_newest(store, maintenance=False, log=lambda _: None)
    assert measured.sound, [check.summary for check in measured.checks]
    settle(store, store.catch_up)
    engine = SearchEngine(workspace.reader(), name, store.reader_encoder)  # type: ignore[arg-type]
    (one, two) = engine.search("cat", k=5).hits
    assert (one.id, one.stale, two.id) == ("1", False, "2")
    assert one.chunk is not None
    assert one.chunk.text == "And here a cat's life, told."
    assert (one.chunk.number, one.chunk.stale) == (3, False)
    text = "A title.\n1.5\n" + body
    assert text[one.chunk.start : one.chunk.stop] == one.chunk.text
    found = json.loads(json.dumps(hits_json(engine.search("cat", k=1))))["hits"][0]
    assert found["chunk"] == {
        "number": 3, "text": one.chunk.text, "start": one.chunk.start, "stop": one.chunk.stop
    }  # fmt: skip

    execute(f"update {name} set body = 'All about an owl.\n\nAnd here another, of other words.' where id = 1")
    (hit, *_) = engine.search("cat", k=5).hits
    assert hit.stale
    assert hit.chunk is not None
    assert hit.chunk.stale, "it is cut from the text as it is now, which is not what was encoded"
    execute(f"update {name} set body = %s where id = 1", (body + "\n\nMore.",))
    (hit, *_) = engine.search("cat", k=5).hits
    assert hit.chunk is not None
    assert (hit.stale, hit.chunk.stale) == (True, False), "the row has moved on, this passage of it has not"
    assert hits_json(engine.search("cat", k=1))["hits"][0]["stale"] is True  # type: ignore[index]


def test_a_collection_that_comes_into_chunks_and_goes_out_of_them(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    """The function's columns change with the swap, both ways."""
    execute(f"create table {name} (id bigint primary key, title text, body text, topic text, price float8)")
    execute(f"insert into {name} values (1, 't', %s, 't', 1)", ("A cat.\n\nA dog.",))
    encoder = KeywordEncoder()
    for number, by in enumerate(["none", "paragraph", "none"], start=1):
        store = FakeStore(workspace, declare(spaces={"text": {"fields": ["body"], "chunk": {"by": by}}}), encoder)
        store.embed()
        if store.all()[0].number == number:
            store.build(store.all()[0])
        store.swap(store.all()[0] if number < 3 else store.all()[-1], because="test")
        hits = workspace.reader().search(store.live(), np.array([0, 1, 0, 0, 0], np.float32), k=3, exact=False)
        assert [hit.id for hit in hits] == ["1"]
        assert (hits[0].chunk.text if hits[0].chunk else None) == ("A dog." if by == "paragraph" else None)


def test_what_is_cited_is_held_against_judged_passages(
    workspace: Workspace, declare: Declare, execute: Execute, name: str
) -> None:
    rows = {1: [1000, 2000], 2: [3000, 4000], 3: [5000, 6000]}
    store = loaded(workspace, declare, execute, name, rows)
    store.questions_asked = [
        JudgedQuery("right", "2000", {"[1]": 1.0}, passages={"[1]": (JudgedPassage("Paragraph  2000."),)}),
        JudgedQuery("other place", "3000", {"[2]": 1.0}, passages={"[2]": (JudgedPassage(span=(17, 32)),)}),
        JudgedQuery("gone", "5000", {"[3]": 1.0}, passages={"[3]": (JudgedPassage("what stood here"),)}),
        JudgedQuery("row alone", "6000", {"[3]": 1.0}),
    ]
    found = evaluate_live(store, methods=["vector", "exact"])
    assert set(found.passages) == {"vector"} and found.passages_gone == 1
    cited = found.passages["vector"]
    assert (cited.recall, cited.rows, cited.questions) == (pytest.approx(1 / 3), 1.0, 3)
    told = evaluated_json(found)["passages"]
    assert told["questions"] == 3 and told["gone"] == 1
    assert told["methods"]["vector"]["passage_recall@5"] == pytest.approx(1 / 3)
    store.questions_asked = store.questions_asked[3:]
    assert "passages" not in evaluated_json(evaluate_live(store))
