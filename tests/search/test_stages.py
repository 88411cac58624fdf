"""The stages after the first ranking, over a reader that is a list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vector_assets.records import Generation, Part, Vectors
from vector_assets.search.ask import Ask
from vector_assets.search.engine import SearchEngine
from vector_assets.search.examples import Examples
from vector_assets.search.hits import Hit
from vector_assets.search.rerank import Reranking, reranked
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
        self.gone: set[str] = set()
        self.times = 0

    def vectors(self, generation: Generation, **asked: Any) -> dict[str, StoredVectors]:
        self.asked = asked
        near, sample = ([f"{kind}{n}" for n in range(1, 9)] for kind in "as")
        if "ids" in asked:
            places = [int(row[1:]) - 1 + 8 * (row[0] == "s") for (row,) in asked["ids"]]
            return {"key": stored([row for (row,) in asked["ids"]], self.table[places])}
        count = min(8, asked["near"])
        return {"near": stored(near[:count], self.table[:count]), "sample": stored(sample, self.table[8:])}

    def chosen(self, generation: Generation, rows: tuple[Chosen, ...]) -> tuple[Hit, ...]:
        self.times += 1
        return tuple(Hit(row.id[0], f'["{row.id[0]}"]', row.score, {}) for row in rows if row.id[0] not in self.gone)

    def search(self, generation: Generation, vector: Vectors, *, k: int, **_: object) -> tuple[Hit, ...]:
        return tuple(Hit(f"a{n}", f'["a{n}"]', 1 - n / 10, {"title": "t" * n, "body": ""}) for n in range(1, 9))[:k]


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


def test_rows_that_are_gone_are_replaced_by_the_next_and_then_by_those_farther_away() -> None:
    reader = ListReader()
    question = reader.table[8]
    every = by_machine(reader, GENERATION, Ask("?", k=16, method="svm"), question)  # type: ignore[arg-type]
    assert reader.times == 1, "nothing more is asked where no row is gone"
    reader.gone = {hit.id for hit in every[:5]}
    left = [hit.id for hit in every[5:]]
    for k in (1, 4, 9, 11, 12, 16):
        found = by_machine(reader, GENERATION, Ask("?", k=k, method="svm"), question)  # type: ignore[arg-type]
        assert [hit.id for hit in found] == left[:k]
    reader.gone = {"a1", "a2", "a3"}
    asked = Ask("?", k=4, method="svm", filter={"field": "topic", "op": "=", "value": "t"})
    found = by_machine(reader, GENERATION, asked, question, near=4)  # type: ignore[arg-type]
    assert {hit.id for hit in found} <= {f"a{n}" for n in range(4, 9)} and len(found) == 4
    assert reader.asked["near"] == 8, "the first four were not enough"


def test_diversity_chooses_among_more_than_it_shows_though_a_model_reads_first() -> None:
    read: list[int] = []

    class Longest:
        digest = "x"

        def scores(self, question: str, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float64]]:
            read.append(len(texts))
            return np.array([float(len(text)) for text in texts])

    ask = Ask("?", k=2, diverse=1.0, rerank=Reranking(Path("judge"), top=1))
    reader = ListReader()
    engine = SearchEngine(reader, "c", lambda checkpoint: None)  # type: ignore[arg-type, return-value]
    engine._scorers[replace(ask.rerank, top=1)] = Longest()  # type: ignore[type-var, index, assignment]
    engine._vector = lambda generation, ask: reader.table[8]  # type: ignore[method-assign]
    found = engine._staged(GENERATION, ask)
    assert read == [8] and ask.candidates == 10
    first, second = (hit.id for hit in found)
    likeness = {f"a{n}": float(reader.table[n - 1] @ reader.table[7]) for n in range(1, 8)}
    assert first == "a8" and second == min(likeness, key=lambda name: likeness[name]), "the least like the first of all"
    for k, diverse, top, wanted in ((20, 0.0, 30, 30), (20, 0.0, 3, 20), (20, 0.5, 30, 100), (2, 0.5, 30, 30)):
        asked = Ask("?", k=k, diverse=diverse, rerank=Reranking(Path("judge"), top=top), like=("1",))
        assert (asked.candidates, asked.pool) == (wanted, wanted + 1)
