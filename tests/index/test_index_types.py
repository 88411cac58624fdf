"""Every kind of index: built, asked by the search function, measured; changed without encoding; of every width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import materialize, measure

from vector_assets.errors import UserError
from vector_assets.records import Vectors
from vector_assets.stores.workspace import Workspace

ROWS = 800


class WideEncoder(KeywordEncoder):
    """A vector drawn by the row's number, near others of its group of fifty; ``width`` wide."""

    def _vectors(self, texts: object) -> Vectors:
        vectors = np.stack([self.vector(int([*str(text).split(), "0"][1])) for text in texts])  # type: ignore[attr-defined]
        return np.asarray(vectors, np.float32)

    def vector(self, number: int) -> Vectors:
        centre = np.random.default_rng(10**6 + number % 30).normal(size=self.dims)
        vector = centre + 0.7 * np.random.default_rng(number).normal(size=self.dims)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


KINDS: list[dict[str, str]] = [
    {},
    {"precision": "half"},
    {"precision": "binary"},
    {"type": "ivfflat"},
    {"type": "ivfflat", "precision": "half"},
    {"type": "exact"},
    {"metric": "inner_product"},
    {"metric": "l2"},
]


@pytest.fixture
def made(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None]
) -> Callable[..., tuple[FakeStore, WideEncoder]]:
    """A live collection of ``ROWS`` vectors with an index of a kind."""

    def make(index: dict[str, Any], *, width: int = 64, rows: int = ROWS) -> tuple[FakeStore, WideEncoder]:
        animals(rows)
        encoder = WideEncoder(width=width)
        store = FakeStore(workspace, declare(index=index, evaluation={"synthetic": 0}), encoder, page=2000)
        materialize(store)
        return store, encoder

    return make


@pytest.mark.parametrize("index", KINDS, ids=lambda index: " ".join(index.values()) or "default")
def test_every_kind_is_measured_and_answers_as_an_exact_scan_does(
    made: Callable[..., tuple[FakeStore, WideEncoder]], workspace: Workspace, execute: Execute, index: dict[str, str]
) -> None:
    store, encoder = made(index | {"recall": 0.95})
    live = store.live()
    kind = index.get("type", "hnsw")
    assert (live.index_type, live.metric) == (kind, index.get("metric", "cosine"))
    values = workspace.generations.measures(live)
    assert values["recalls"][-1]["mean"] >= 0.95  # type: ignore[index]
    assert values["recalls"][-1]["p99"] >= values["recalls"][-1]["p50"] > 0  # type: ignore[index]
    reader = workspace.reader()
    found = 0
    for number in range(1, 41):
        question = encoder.vector(number)
        exact = reader.search(live, question, k=10, exact=True)
        hits = reader.search(live, question, k=10, exact=False)
        assert len(hits) == len(exact) == 10 and exact[0].score == pytest.approx(1, abs=2e-3)
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        found += len({hit.id for hit in hits} & {hit.id for hit in exact})
    assert found >= 0.93 * 400
    assert len(reader.search(live, encoder.vector(1), k=700, exact=False)) == 700
    if kind != "exact":
        asked = f"select search.{live.collection}('[{','.join(map(str, encoder.vector(1)))}]', 10)"
        assert index_scans(workspace, f"{live.table}_{kind}", asked) == 1, "the function asks the index"


def index_scans(workspace: Workspace, index: str, call: str) -> int:
    """How often a statement read an index, by Postgres' own counters."""
    count = f"select pg_stat_get_xact_numscans('embedding.{index}'::regclass)"
    with psycopg.connect(workspace.addresses.database.libpq) as connection:
        before = connection.execute(count).fetchone()  # type: ignore[arg-type]
        connection.execute(call)  # type: ignore[arg-type]
        after = connection.execute(count).fetchone()  # type: ignore[arg-type]
    assert before and after
    return int(after[0] - before[0])


def test_halves_take_half_the_table_and_half_the_index(
    made: Callable[..., tuple[FakeStore, WideEncoder]], workspace: Workspace, execute: Execute, name: str
) -> None:
    """And another precision is another generation, copied without encoding; back from halves all is encoded anew."""
    store, encoder = made({"recall": 0.9}, width=384)
    before = sizes(execute, f"{name}_g1", "hnsw")
    encoder.encoded.clear()
    store.collection = store.collection.model_copy(
        update={"index": store.collection.index.model_copy(update={"precision": "half"})}
    )
    measured, swapped = materialize(store)
    assert swapped.action == "promoted" and encoder.encoded == []
    assert "their index changed" in measured.decision.reason
    assert (store.live().vector_type, store.live().precision) == ("halfvec", "half")
    after = sizes(execute, f"{name}_g2", "hnsw")
    assert after[0] < 0.6 * before[0] and after[1] < 0.65 * before[1]
    ((least,),) = execute(
        f"select min(1 - (a.vector <=> b.vector::vector)) "
        f"from embedding.{name}_g1 a join embedding.{name}_g2 b using (k1)"
    )
    assert float(str(least)) > 0.99999
    store.collection = store.collection.model_copy(
        update={"index": store.collection.index.model_copy(update={"precision": "float32"})}
    )
    materialize(store)
    assert store.live().vector_type == "vector" and len(encoder.encoded) == ROWS


def sizes(execute: Execute, table: str, kind: str) -> tuple[int, int]:
    ((heap, index),) = execute(
        f"select pg_table_size('embedding.{table}'), pg_relation_size('embedding.{table}_{kind}')"
    )
    return int(str(heap)), int(str(index))


def test_another_type_is_another_generation_without_encoding(
    made: Callable[..., tuple[FakeStore, WideEncoder]], workspace: Workspace, execute: Execute, name: str
) -> None:
    store, encoder = made({"recall": 0.9})
    encoder.encoded.clear()
    for number, index in enumerate(({"type": "ivfflat"}, {"type": "exact"}, {"precision": "binary"}), start=2):
        store.collection = store.collection.model_copy(
            update={"index": type(store.collection.index).model_validate(index | {"recall": 0.9})}
        )
        _, swapped = materialize(store)
        assert (swapped.action, store.live().number) == ("promoted", number)
        assert len(workspace.reader().search(store.live(), encoder.vector(3), k=10, exact=False)) == 10
    assert encoder.encoded == []


@pytest.mark.parametrize(
    ("width", "precision"), [(128, "float32"), (1536, "float32"), (3072, "half"), (4608, "binary")]
)
def test_wide_and_cut_vectors_are_indexed(
    made: Callable[..., tuple[FakeStore, WideEncoder]], workspace: Workspace, width: int, precision: str
) -> None:
    """Row A10: a 1,536-dim encoder and a Matryoshka cut to 128; beyond, halves, then bits."""
    store, encoder = made({"recall": 0.9}, width=width, rows=200)
    live = store.live()
    assert (live.dims, live.precision) == (width, precision)
    values = workspace.generations.measures(live)
    assert values["index"]["index_bytes"] > 0  # type: ignore[index]
    hits = workspace.reader().search(live, encoder.vector(7), k=5, exact=False)
    assert hits[0].id == "7" and hits[0].score == pytest.approx(1, abs=2e-3)


def test_more_than_pgvector_stores_is_refused(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None]
) -> None:
    animals(3)
    with pytest.raises(UserError, match="make 16001 dimensions; expected 16000 at most"):
        FakeStore(workspace, declare(), WideEncoder(width=16001)).layout()


def test_the_bytes_that_are_planned_are_the_bytes_that_are_built(
    made: Callable[..., tuple[FakeStore, WideEncoder]], execute: Execute, name: str
) -> None:
    from vector_assets.index.size_planner import plan_index

    store, _ = made({"recall": 0.5}, width=384)
    planned = plan_index(store.collection.index, rows=ROWS, dims=384, where="c")
    heap, index = sizes(execute, f"{name}_g1", "hnsw")
    assert planned.index_bytes == pytest.approx(index, rel=0.05)
    assert planned.table_bytes == pytest.approx(heap, rel=0.15)


# L3: normalise before the dot product, or magnitude beats direction.


def test_magnitude_beats_direction_until_vectors_are_normalised(execute: Execute) -> None:
    raw = execute(
        "select round(-(a <#> b)::numeric, 2)::float8 from (values ('[0.3,1]'::vector, '[0.4,1.3]'::vector), "
        "('[0.3,1]', '[10,1]'), ('[0.4,1.3]', '[10,1]')) t (a, b)"
    )
    assert [value for (value,) in raw] == [1.42, 4.0, 5.3]
    unit = execute(
        "select -(l2_normalize(a) <#> l2_normalize(b)) from (values ('[0.3,1]'::vector, '[0.4,1.3]'::vector), "
        "('[0.3,1]', '[10,1]'), ('[0.4,1.3]', '[10,1]')) t (a, b)"
    )
    assert [float(str(value)) for (value,) in unit] == pytest.approx([0.99998, 0.381, 0.388], abs=5e-4)


def test_an_inner_product_of_vectors_that_are_not_normalised_is_refused(
    workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute, name: str
) -> None:
    animals(20)
    collection = declare(index={"metric": "inner_product"}, evaluation={"synthetic": 0})
    store = FakeStore(workspace, collection, WideEncoder(width=8))
    store.embed()
    execute(f"update embedding.{name}_g1 set vector = vector * array_fill(3, array[8])::vector where k1 = 7")
    failed = [check.summary for check in measure(store).checks if not check.passed]
    assert failed == ["8 dimensions; the farthest length is 2.00e+00 from 1, expected 1e-04 at most"]
