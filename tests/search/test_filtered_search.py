"""Filtered search: the k nearest of the rows that match, never fewer while as many match."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import psycopg
import pytest
from fakes import Execute, FakeStore, KeywordEncoder
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from vector_assets.errors import UserError
from vector_assets.records import Vectors
from vector_assets.search.ask import Ask
from vector_assets.search.engine import SearchEngine
from vector_assets.search.where import read_where
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace

DIMS, ROWS = 16, 4000


class NumberEncoder(KeywordEncoder):
    """A vector that only the number in the text decides; numbers of one hundred are near one another."""

    def _vectors(self, texts: object) -> Vectors:
        return np.stack([vector_of(int("".join(filter(str.isdigit, str(text))))) for text in texts])  # type: ignore[attr-defined]


def vector_of(number: int) -> Vectors:
    vector = np.random.default_rng(number // 100).normal(size=DIMS)
    vector = vector + 0.4 * np.random.default_rng(10**6 + number).normal(size=DIMS)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


@dataclass(repr=False)
class Filled:
    """A live generation over rows 1..ROWS; ``scores`` of every row for a question, by numpy."""

    store: FakeStore
    numbers: dict[int, list[int]]
    url: str

    @cached_property
    def vectors(self) -> Vectors:
        return np.stack([vector_of(n) for some in self.numbers.values() for n in some])

    def scores(self, question: Vectors) -> dict[int, float]:
        starts = np.cumsum([0, *(len(some) for some in self.numbers.values())])[:-1]
        best = np.maximum.reduceat(self.vectors @ question, starts)
        return dict(zip(self.numbers, map(float, best), strict=True))

    def __repr__(self) -> str:
        return self.store.collection.name

    def found(
        self, question: Vectors, k: object, tree: object, *, most: int | None = None, exact: bool = False
    ) -> list[tuple[int, float]]:
        with psycopg.connect(self.url) as connection:
            connection.execute("select '[1]'::vector <=> '[1]'::vector")
            if most:
                connection.execute(f"set hnsw.max_scan_tuples = {most}".encode())
            rows = connection.execute(
                f"select id, score from search.{self.store.collection.name}(%s, %s, null, %s, %s)".encode(),
                ("[" + ",".join(map(str, question)) + "]", k, exact, Jsonb(tree)),
            ).fetchall()
        return [(int(str(key)), float(str(score))) for key, score in rows]


def filled(workspace: Workspace, name: str, *, chunks: bool) -> Filled:
    """Of row i: ``rank`` is i in another order; ``near`` the hundred of its number; ``topic`` in few rows or many."""
    url = workspace.addresses.database.libpq
    size = ROWS // 8 if chunks else ROWS
    numbers = {
        key: [8 * key + place for place in range(key % 15 + 1)] if chunks else [key] for key in range(1, size + 1)
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"create table {name} (id bigint primary key, body text, rank bigint, near bigint, topic text, "
            "other text)".encode()
        )
        with connection.cursor().copy(f"copy {name} from stdin".encode()) as copy:
            for key, some in numbers.items():
                body = "\n\n".join(f"Paragraph {number}." for number in some)
                topic = "rare" if key % 400 == 7 else "half" if key % 2 else None
                copy.write_row((key, body, 7919 * key % size, some[0] // 100, topic, topic))
        connection.execute(f"create index on {name} (rank)".encode())
        connection.execute(f"analyze {name}".encode())
    collection = Collection.model_validate(
        {
            "name": name,
            "source": {"kind": "postgres", "table": name},
            "fields": {"body": "text", "rank": "number", "near": "number", "topic": "category", "other": "category"},
            "filters": ["rank", "topic"],
            "spaces": {"text": {"fields": ["body"], "chunk": {"by": "paragraph" if chunks else "none"}}},
        }
    )
    store = FakeStore(workspace, collection, NumberEncoder(["1 cat"], width=DIMS), page=1000)
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    return Filled(store, numbers, url)


@pytest.fixture(scope="module", params=[False, True], ids=["rows", "chunks"])
def live(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Filled]:
    yield filled(workspace, "filtered_chunks" if request.param else "filtered_plain", chunks=request.param)


def compared(field: str, op: str, value: object) -> dict[str, object]:
    return {"field": field, "op": op, "value": value}


def check(live: Filled, question: Vectors, k: int, tree: object, matching: set[int], **more: object) -> float:
    """As many as there are, none that does not match, best first, truly scored; returns the recall."""
    scores = live.scores(question)
    found = live.found(question, k, tree, **more)
    keys = [key for key, _ in found]
    assert len(keys) == len(set(keys)) == min(k, len(matching))
    assert set(keys) <= matching
    assert [score for _, score in found] == sorted((score for _, score in found), reverse=True)
    np.testing.assert_allclose([score for _, score in found], [scores[key] for key in keys], atol=1e-5)
    best = sorted(matching, key=lambda key: -scores[key])[:k]
    return len(set(best) & set(keys)) / len(best) if best else 1.0


@settings(max_examples=60, deadline=None, phases=[Phase.generate])
@given(
    share=st.sampled_from([0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.6, 1.0]),
    k=st.sampled_from([1, 10, 100]),
    most=st.sampled_from([None, 1, 50]),
    place=st.integers(0, 4000),
    far=st.booleans(),
    copied=st.booleans(),
)
def test_as_many_as_there_are_at_any_selectivity(
    live: Filled, share: float, k: int, most: int | None, place: int, far: bool, copied: bool
) -> None:
    """By a copied column or one of the source; its rows spread evenly, or those farthest from the question."""
    size = len(live.numbers)
    question = vector_of(place)
    if far:
        scores = live.scores(question)
        # The farthest hundreds: what lies near the question does not match.
        hundreds = sorted({n[0] // 100 for n in live.numbers.values()}, key=lambda h: max(
            scores[key] for key, n in live.numbers.items() if n[0] // 100 == h))  # fmt: skip
        chosen = hundreds[: int(np.ceil(share * len(hundreds)))]
        tree: object = compared("near", "in", chosen)
        matching = {key for key, n in live.numbers.items() if n[0] // 100 in chosen}
    else:
        below = int(np.ceil(share * size))
        tree = compared("rank", "<", below)
        matching = {key for key in live.numbers if 7919 * key % size < below}
        if not copied:
            tree = {"and": [tree, {"or": [compared("near", ">=", 0), compared("near", "is", None)]}]}
    assert check(live, question, k, tree, matching, most=most) >= (0.5 if k == 100 else 0)


@pytest.mark.parametrize("most", [None, 1])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 1.0])
def test_what_is_found_is_nearly_all_that_an_exact_scan_finds(live: Filled, share: float, most: int | None) -> None:
    size = len(live.numbers)
    below = int(share * size)
    matching = {key for key in live.numbers if 7919 * key % size < below}
    recalls = [check(live, vector_of(37 * n), 10, compared("rank", "<", below), matching, most=most) for n in range(12)]
    assert np.mean(recalls) >= 0.95
    assert check(live, vector_of(555), 10, compared("rank", "<", below), matching, exact=True) == 1


def test_an_estimate_that_is_wrong_costs_no_row(live: Filled, execute: Execute) -> None:
    """Statistics that are gone, or of other rows: the planner guesses, and as many are found."""
    name = live.store.live().table
    execute(f"delete from pg_statistic where starelid = 'embedding.{name}'::regclass")
    try:
        for topic in ("rare", "half"):
            matching = {
                key for key in live.numbers if (key % 400 == 7) == (topic == "rare") and (topic == "rare" or key % 2)
            }
            assert check(live, vector_of(1234), 10, compared("topic", "=", topic), matching) >= 0.5
    finally:
        execute(f"analyze embedding.{name}")


def test_rows_without_a_value_match_neither_a_comparison_nor_its_opposite(live: Filled) -> None:
    question = vector_of(77)
    half = {key for key in live.numbers if key % 400 != 7 and key % 2}
    rare = {key for key in live.numbers if key % 400 == 7}
    for field in ("topic", "other"):
        check(live, question, 2000, {"not": compared(field, "=", "rare")}, half)
        check(live, question, 2000, compared(field, "!=", "half"), rare)
        check(live, question, 2000, compared(field, "is", None), set(live.numbers) - half - rare)


def test_the_key_is_a_field(live: Filled) -> None:
    check(live, vector_of(77), 10, compared("id", "in", [3, 5, 9]), {3, 5, 9})


@pytest.mark.parametrize(("k", "rows"), [(None, 100), (2147483647, 100), (0, 0), (-1, 0)])
def test_any_number_can_be_asked_for(live: Filled, k: int | None, rows: int) -> None:
    assert len(live.found(vector_of(5), k, compared("rank", "<", 100))) == rows


def test_settings_do_not_leak(live: Filled) -> None:
    names = ("enable_sort", "hnsw.ef_search", "hnsw.max_scan_tuples", "hnsw.iterative_scan", "enable_indexscan")
    show = "select " + ", ".join(f"current_setting('{name}')" for name in names)
    with psycopg.connect(live.url) as connection:
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        before = connection.execute(show.encode()).fetchone()
        vector = "[" + ",".join(map(str, vector_of(7))) + "]"
        for tree in (compared("rank", "<", 5), compared("rank", ">=", 0)):
            connection.execute(
                f"select * from search.{live.store.collection.name}(%s, filter => %s)".encode(), (vector, Jsonb(tree))
            )
        assert connection.execute(show.encode()).fetchone() == before


def test_wide_filters_ask_the_index_and_narrow_ones_do_not(live: Filled) -> None:
    count = f"select pg_stat_get_xact_numscans('embedding.{live.store.live().table}_hnsw'::regclass)"
    vector = "[" + ",".join(map(str, vector_of(7))) + "]"
    used = []
    for below in (3, 10**6):
        with psycopg.connect(live.url) as connection:
            tree = Jsonb(compared("rank", "<", below))
            connection.execute(
                f"select * from search.{live.store.collection.name}(%s, filter => %s)".encode(), (vector, tree)
            )
            used.append(connection.execute(count.encode()).fetchone())
    assert used[0] == (0,)
    assert used[1] is not None
    assert used[1][0] >= 1


def test_what_is_no_filter_is_an_error_of_data(live: Filled) -> None:
    for tree in (compared("body2", "=", "x"), compared("rank", "=", "x"), []):
        with pytest.raises(psycopg.errors.DataException):
            live.found(vector_of(1), 10, tree)


def test_hits_are_of_rows_that_match(live: Filled, workspace: Workspace) -> None:
    """As the reader role, through the engine: by text and by tree, over fields and the key."""
    reader = workspace.reader()
    name = live.store.collection.name
    assert reader.key_types(name) == {"id": "number"}
    engine = SearchEngine(reader, name, live.store.reader_encoder)  # type: ignore[arg-type]
    for where, wanted in (
        ("rank < 300 and topic = half", lambda row: row["rank"] < 300 and row["topic"] == "half"),
        (["id > 5", "not other is null"], lambda row: row["id"] > 5 and row["other"] is not None),
        (compared("other", "!=", "half"), lambda row: row["other"] == "rare"),
    ):
        tree = read_where(where, live.store.collection, lambda: reader.key_types(name))  # type: ignore[arg-type]
        hits = engine.answer(Ask("Paragraph 7.", filter=tree)).hits
        assert hits
        assert all(wanted(hit.row) for hit in hits)
    with pytest.raises(UserError, match="filter 'topc = x', place 1: 'topc' is not a field; expected one of id, body"):
        read_where("topc = x", live.store.collection, lambda: reader.key_types(name))
    with pytest.raises(UserError, match='filter: "topc" is not a field'):
        engine.answer(Ask("Paragraph 7.", filter=compared("topc", "=", "x")))
