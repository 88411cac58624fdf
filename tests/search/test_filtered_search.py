"""Filtered search: the k nearest of the rows that match, never fewer while as many match."""

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

from vector_assets.errors import UserError
from vector_assets.search.ask import Ask
from vector_assets.search.engine import SearchEngine
from vector_assets.search.where import read_where
from vector_assets.stores.search_sql.filtered import filtered_function
from vector_assets.stores.workspace import Workspace


@pytest.fixture(scope="module", params=[False, True], ids=["rows", "chunks"])
def live(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[Filled]:
    yield filled(workspace, "filtered_chunks" if request.param else "filtered_plain", chunks=request.param)


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


@pytest.mark.parametrize("left_out", [1, 4, 12])
def test_what_lies_beyond_all_that_is_near_is_found(live: Filled, left_out: int) -> None:
    """``not topic = cs``, asked about cs: what the index hands out after so many others is in no order."""
    recalls = []
    for number in range(8):
        question = vector_of(487 * number)
        scores = live.scores(question)
        hundreds = {key: n[0] // 100 for key, n in live.numbers.items()}
        best = {
            hundred: max(scores[key] for key, h in hundreds.items() if h == hundred)
            for hundred in set(hundreds.values())
        }
        nearest = sorted(best, key=lambda hundred: -best[hundred])[:left_out]
        matching = {key for key, hundred in hundreds.items() if hundred not in nearest}
        recalls.append(check(live, question, 10, {"not": compared("near", "in", nearest)}, matching))
    assert np.mean(recalls) >= 0.97


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
        # More than an index is asked for at once: it looks on by itself, in this call alone.
        connection.execute(f"select * from search.{live.store.collection.name}(%s, 1500)".encode(), (vector,))
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


@pytest.mark.parametrize("most", [None, 1])
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_rows_by_the_mean_of_their_best_chunks(live: Filled, share: float, most: int | None) -> None:
    """The function as it is made where chunks are rolled up by a mean: scores are of all chunks of a row."""
    generation = live.store.live()
    if generation.chunked is None:
        pytest.skip("there are no chunks")
    question, below = vector_of(321), int(share * len(live.numbers))
    matching = [key for key in live.numbers if 7919 * key % len(live.numbers) < below]
    means = {key: float(np.sort([vector_of(n) @ question for n in live.numbers[key]])[-3:].mean()) for key in matching}
    with psycopg.connect(live.url) as connection:
        views = live.store.workspace.generations.views
        served = views._served(connection, live.store.collection, generation, live.store.relation)  # type: ignore[arg-type]
        made = filtered_function(served, top=3).definition
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        connection.execute(made)
        if most:
            connection.execute(f"set hnsw.max_scan_tuples = {most}".encode())
        rows = connection.execute(
            f"select id, score, chunk_no from search.{live.store.collection.name}_filtered(%s, 10, false, %s)".encode(),
            ("[" + ",".join(map(str, question)) + "]", Jsonb(compared("rank", "<", below))),
        ).fetchall()
        connection.rollback()
    assert len(rows) == min(10, len(matching))
    np.testing.assert_allclose([row[1] for row in rows], [means[row[0]] for row in rows], atol=1e-5)
    best = sorted(matching, key=lambda key: -means[key])[:10]
    assert len({row[0] for row in rows} & set(best)) >= 0.8 * len(best)
    for key, _, chunk in rows:
        assert chunk == int(np.argmax([vector_of(n) @ question for n in live.numbers[key]]))
