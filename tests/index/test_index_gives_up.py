"""An index that hands out fewer rows than there are: k come back all the same, of every kind of index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import psycopg
import pytest
from fakes import FakeStore, KeywordEncoder

from vector_assets.records import Vectors
from vector_assets.spec import Collection
from vector_assets.stores.workspace import Workspace

ROWS, FAR, DIMS = 3000, 60, 16
KINDS = {
    "hnsw": {"type": "hnsw"},
    "half": {"type": "hnsw", "precision": "half"},
    "binary": {"type": "hnsw", "precision": "binary"},
    "ivfflat": {"type": "ivfflat"},
    "exact": {"type": "exact"},
}


class NumberEncoder(KeywordEncoder):
    """A vector that only the number in the text decides."""

    def _vectors(self, texts: object) -> Vectors:
        numbers = [int("".join(filter(str.isdigit, str(text)))) for text in texts]  # type: ignore[attr-defined]
        return np.stack([vector_of(number) for number in numbers])


def vector_of(number: int) -> Vectors:
    """Near the first axis; the last ``FAR`` rows lie on the other side of it."""
    vector = 0.5 * np.random.default_rng(number).normal(size=DIMS)
    vector[0] += 3 if number <= ROWS - FAR else -3
    return np.asarray(vector / np.linalg.norm(vector), np.float32)


QUESTION = vector_of(1)
TEXT = "[" + ",".join(map(str, QUESTION)) + "]"


def live(workspace: Workspace, name: str, index: dict[str, str]) -> FakeStore:
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute(f"create table {name} (id bigint primary key, body text)".encode())
        connection.execute(f"insert into {name} select i, 'number ' || i from generate_series(1, {ROWS}) i".encode())
    collection = Collection.model_validate(
        {
            "name": name,
            "source": {"kind": "postgres", "table": name},
            "fields": {"body": "text"},
            "spaces": {"text": {"fields": ["body"]}},
            "index": index,
        }
    )
    store = FakeStore(workspace, collection, NumberEncoder(["1 cat"], width=DIMS), page=1000)
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    return store


@pytest.fixture(scope="module", params=KINDS)
def store(request: pytest.FixtureRequest, workspace: Workspace) -> Iterator[FakeStore]:
    yield live(workspace, f"gives_up_{request.param}", KINDS[request.param])


def nearest(numbers: Sequence[int]) -> list[int]:
    scores = {number: float(vector_of(number) @ QUESTION) for number in numbers}
    return sorted(numbers, key=lambda number: -scores[number])


def asked(store: FakeStore, k: str, *, counted: str = "index", **settings: object) -> tuple[list[int], int]:
    """Ids as the function returns them, and how often the index was asked, or the table scanned.

    Unless it is set, the planner may not scan by itself.
    """
    live = store.live()
    name = f"{live.table}_{live.index_type}" if counted == "index" else live.table
    count = f"select coalesce(pg_stat_get_xact_numscans(to_regclass('embedding.{name}')), 0)"  # null: there is none
    with psycopg.connect(store.workspace.addresses.database.libpq) as connection:
        connection.execute("select '[1]'::vector <=> '[1]'::vector")
        for name, value in {"enable_seqscan": "off", **settings}.items():
            connection.execute(f"set {name} = {value}".encode())
        rows = connection.execute(f"select id from search.{live.collection}(%s, {k})".encode(), (TEXT,)).fetchall()
        scans = connection.execute(count.encode()).fetchone()
    assert scans is not None
    return [row[0] for row in rows], scans[0]


def test_an_index_that_gives_up_is_finished_by_a_scan(store: FakeStore) -> None:
    """With next to nothing allowed to be looked at, all are found all the same, exactly, in order, none twice."""
    ids, scans = asked(store, "2900", **{"hnsw.max_scan_tuples": 1, "ivfflat.max_probes": 1})
    assert len(ids) == len(set(ids)) == 2900
    agree = np.mean(np.array(ids) == np.array(nearest(range(1, ROWS + 1))[:2900]))
    assert agree > (0.6 if store.live().vector_type == "halfvec" else 0.999), (
        "half floats confuse rows that are as near"
    )
    assert scans == (0 if store.live().index_type == "exact" else 1), "the index was asked, or this would say nothing"


def test_the_index_is_asked_whatever_a_plan_would_choose(store: FakeStore) -> None:
    kind = store.live().index_type
    dear = {"enable_seqscan": "on", "random_page_cost": 1000}  # as if an index cost more than all of the table
    for k in ("1", "10", "500"):
        assert asked(store, k, **dear)[1] == (kind != "exact")
        assert asked(store, k, counted="table", **dear)[1] == (kind == "exact")


@pytest.mark.parametrize("k", ["null", "2147483647", "3000"])
def test_all_are_all(store: FakeStore, k: str) -> None:
    ids, scans = asked(store, k)
    assert len(ids) == len(set(ids)) == ROWS
    assert scans == 0 or k != "null", "no index is asked for all"


@pytest.mark.parametrize("k", ["0", "-1", "-2147483648"])
def test_none_are_none(store: FakeStore, k: str) -> None:
    assert asked(store, k) == ([], 0)


def test_the_index_is_asked_once_where_it_has_enough(store: FakeStore) -> None:
    ids, scans = asked(store, "10")
    assert len(ids) == 10
    assert scans == (0 if store.live().index_type == "exact" else 1)


@pytest.mark.parametrize("kind", ["hnsw", "binary"])
def test_a_crowd_of_dead_entries_hides_no_row(workspace: Workspace, name: str, kind: str) -> None:
    """What a sync removed stands in the index until a vacuum, nearer to the question than all that is left."""
    store = live(workspace, name, KINDS[kind])
    with psycopg.connect(workspace.addresses.database.libpq, autocommit=True) as connection:
        connection.execute(f"alter table embedding.{name}_g1 set (autovacuum_enabled = off)".encode())
        connection.execute(f"delete from {name} where id <= {ROWS - FAR}".encode())
    assert store.embed().latest.removed == ROWS - FAR
    left = nearest(range(ROWS - FAR + 1, ROWS + 1))
    for k in (1, 10, 50, 100):
        ids, scans = asked(store, str(k), **{"hnsw.max_scan_tuples": 1000})
        assert ids == left[:k] or (kind == "binary" and len(set(ids)) == min(k, FAR)), "bits rank roughly"
        assert scans == 2, "it was asked plainly, then to look on by itself"
    assert asked(store, "null")[0] == left
    assert asked(store, "50", counted="table", **{"hnsw.max_scan_tuples": 1000})[1] == 1, "it gave up among them"
    looked_on, scans = asked(store, "50")  # with as many entries as there are allowed, the index leads past the dead
    assert len(set(looked_on)) == 50 and scans == 2
    assert looked_on == left[:50] or kind == "binary"
    assert asked(store, "50", counted="table")[1] == 0
