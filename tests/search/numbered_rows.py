"""A live generation over rows whose vectors a number decides, and what a filtered search of it must find."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import psycopg
from fakes import FakeStore, KeywordEncoder
from psycopg.types.json import Jsonb

from vector_assets.records import Vectors
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


def filled(workspace: Workspace, name: str, *, chunks: bool, **declared: object) -> Filled:
    """Of row i: ``rank`` is i in another order; ``near`` the hundred of its number; ``topic`` in few rows or many.

    ``tenth`` is the last digit of i.
    """
    url = workspace.addresses.database.libpq
    size = ROWS // 8 if chunks else ROWS
    numbers = {
        key: [8 * key + place for place in range(key % 15 + 1)] if chunks else [key] for key in range(1, size + 1)
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            f"create table {name} (id bigint primary key, body text, rank bigint, near bigint, topic text, "
            "other text, tenth bigint)".encode()
        )
        with connection.cursor().copy(f"copy {name} from stdin".encode()) as copy:
            for key, some in numbers.items():
                body = "\n\n".join(f"Paragraph {number}." for number in some)
                topic = "rare" if key % 400 == 7 else "half" if key % 2 else None
                copy.write_row((key, body, 7919 * key % size, some[0] // 100, topic, topic, key % 10))
        connection.execute(f"create index on {name} (rank)".encode())
        connection.execute(f"analyze {name}".encode())
    collection = Collection.model_validate(
        {
            "name": name,
            "source": {"kind": "postgres", "table": name},
            "fields": {
                "body": "text", "rank": "number", "near": "number", "topic": "category", "other": "category",
                "tenth": "number",
            },
            "filters": ["rank", "topic", "tenth"],
            "spaces": {"text": {"fields": ["body"], "chunk": {"by": "paragraph" if chunks else "none"}}},
            **declared,
        }
    )  # fmt: skip
    store = FakeStore(workspace, collection, NumberEncoder(["1 cat"], width=DIMS), page=1000)
    store.embed()
    store.build(store.all()[0])
    store.swap(store.all()[0], because="test")
    return Filled(store, numbers, url)


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
