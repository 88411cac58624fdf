"""The stages after the first ranking, over a reader that is a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vector_assets.records import Generation, Part, Vectors
from vector_assets.search.ask import Ask
from vector_assets.search.examples import Examples
from vector_assets.search.hits import Hit
from vector_assets.search.rerank import reranked
from vector_assets.search.stages import by_machine
from vector_assets.search.stored import Chosen, StoredVectors

GENERATION = Generation("c", 1, "live", "s", (Part("text", 0, 4, "d", ("title", "body")),), 4, "vector", (), "cosine")


@dataclass(frozen=True)
class Filtered(Ask):
    """A question of some rows only."""

    filter: object | None = None


def stored(ids: list[str], vectors: Vectors) -> StoredVectors:
    count = len(ids)
    return StoredVectors(
        tuple((one,) for one in ids), np.arange(count), np.zeros(count, np.int64), np.full(count, 0.5),
        ("done",) * count, np.zeros(count, np.int64), np.zeros(count, np.int64), (b"",) * count, vectors,
    )  # fmt: skip


class ListReader:
    """Rows a1 to a8 are near, s1 to s8 the sample; s1 is the question itself."""

    def __init__(self) -> None:
        table = np.random.default_rng(3).standard_normal((16, 4)).astype(np.float32)
        self.table = table / np.linalg.norm(table, axis=1, keepdims=True)
        self.asked: dict[str, Any] = {}

    def vectors(self, generation: Generation, **asked: Any) -> dict[str, StoredVectors]:
        self.asked = asked
        near, sample = ([f"{kind}{n}" for n in range(1, 9)] for kind in "as")
        return {"near": stored(near, self.table[:8]), "sample": stored(sample, self.table[8:])}

    def chosen(self, generation: Generation, rows: tuple[Chosen, ...]) -> tuple[Hit, ...]:
        return tuple(Hit(row.id[0], f'["{row.id[0]}"]', row.score, {}) for row in rows)


def test_the_machine_ranks_the_sample_too_but_not_where_a_filter_chooses() -> None:
    reader = ListReader()
    question = reader.table[8]
    found = by_machine(reader, GENERATION, Ask("?", k=16, method="svm"), question)  # type: ignore[arg-type]
    assert found[0].id == "s1" and len(found) == 16 and reader.asked["filter"] is None
    assert [hit.score for hit in found] == sorted((hit.score for hit in found), reverse=True)
    asked = Filtered("?", k=16, method="svm", filter={"field": "topic", "op": "=", "value": "t"})
    some = by_machine(reader, GENERATION, asked, question)  # type: ignore[arg-type]
    assert sorted(hit.id for hit in some) == [f"a{n}" for n in range(1, 9)]
    assert reader.asked["filter"] == asked.filter
    order = [hit.id for hit in found if hit.id[0] == "a"]
    assert [hit.id for hit in some] == order, "the sample still says what the table looks like"


def test_named_rows_are_no_answers_and_no_negatives() -> None:
    reader = ListReader()
    liked = Examples(reader.table[[0]], reader.table[:0], frozenset({("a1",)}))
    found = by_machine(reader, GENERATION, Ask(like=("a1",), k=16, method="svm", examples=liked), None)  # type: ignore[arg-type]
    assert "a1" not in {hit.id for hit in found} and len(found) == 15


def test_the_judge_reads_what_the_vector_was_made_of_and_the_rest_is_left_out() -> None:
    read: list[str] = []

    class Longest:
        digest = "x"

        def scores(self, question: str, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
            read.extend(texts)
            return np.array([float(len(text)) for text in texts])

    hits = [
        Hit(
            name, f'["{name}"]', 1.0 - place / 10, {"title": name, "body": "x" * place, "price": 9}, parts={"bm25": 2.0}
        )
        for place, name in enumerate("abcd")
    ]
    found = reranked(Longest(), GENERATION, "?", hits, top=3)  # type: ignore[arg-type]
    assert read == ["a", "b\nx", "c\nxx"]
    assert [hit.id for hit in found] == ["c", "b", "a"]
    assert found[0].parts == {"bm25": 2.0, "found": 0.8, "rerank": 4.0} and found[0].score == 4.0
