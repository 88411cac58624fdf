"""Chunkings on the same rows and questions: scores as computed by hand, what is encoded twice, what is told."""

from __future__ import annotations

import pytest
from fakes import KeywordEncoder

from vector_assets.index.chunkings import Row, Way, WayFound, compare_chunkings
from vector_assets.records import ChunkRule, JudgedQuery

# A cat in one sentence of a text about all else: of the whole text it is a quarter, of its sentence all.
ROWS: list[Row] = [
    (("1",), ("A cat is here. A dog. An owl. A fish.",)),
    (("2",), ("A cat and a dog.",)),
    (("3",), ("An owl sits. This one is long and of an owl.",)),
]
JUDGED = [JudgedQuery("q1", "cat", {'["1"]': 1.0}), JudgedQuery("q2", "owl", {'["3"]': 1.0})]
WHOLE, SENTENCES = Way("whole", None), Way("sentences", ChunkRule("sentence", 20))


def compare(*ways: Way, encoder: KeywordEncoder | None = None, rows: list[Row] = ROWS) -> list[WayFound]:
    return compare_chunkings(rows, ways, JUDGED, encoder or KeywordEncoder(), space="text", metric="mrr@10")


def test_scores_are_those_of_the_best_chunk_by_hand() -> None:
    whole, sentences = compare(WHOLE, SENTENCES)
    # Whole: cat finds 2 (.71) before 1 (.5); owl finds 3 (1.0) first.
    assert whole.scores["mrr@10"] == pytest.approx((1 / 2 + 1) / 2)
    # In sentences: cat finds 1 (1.0) first; owl finds 3 (1.0) before 1, whose owl shares 20 characters with a dog.
    assert sentences.scores["mrr@10"] == pytest.approx(1.0)
    assert (whole.against, whole.chunks) == (None, 3)
    against = sentences.against
    assert against is not None
    assert (against.old, against.new, against.queries) == (0.75, 1.0, 2)
    assert set(whole.scores) == {"ndcg@10", "recall@10", "mrr@10"}
    assert whole.intervals["mrr@10"][0] <= whole.scores["mrr@10"] <= whole.intervals["mrr@10"][1]


def test_a_text_that_several_ways_cut_out_is_encoded_once() -> None:
    encoder = KeywordEncoder()
    compare(WHOLE, SENTENCES, Way("again", ChunkRule("sentence", 20)), Way("of two", ChunkRule("sentence", 20), 2),
            encoder=encoder)  # fmt: skip
    assert len(encoder.encoded) == len(set(encoder.encoded))
    assert "A cat and a dog." in encoder.encoded, "whole, and the only sentence as well"


def test_what_is_cut_off_and_what_is_not_taken_is_counted() -> None:
    rows: list[Row] = [*ROWS, (("4",), ("A poison.",)), (("5",), (None,))]
    whole, sentences = compare(WHOLE, SENTENCES, rows=rows)
    assert (whole.chunks, whole.truncated, whole.failed) == (4, 1, 1)
    assert (sentences.truncated, sentences.failed) == (1, 1)


def test_the_mean_of_the_best_is_a_way_of_its_own() -> None:
    best, mean = compare(SENTENCES, Way("mean", ChunkRule("sentence", 20), 2))
    assert best.scores != mean.scores


def test_chunks_by_tokens_are_the_encoders_own() -> None:
    (found,) = compare(Way("tokens", ChunkRule("tokens", 8)))
    assert found.chunks == 5


def test_a_record_is_read_as_it_was() -> None:
    for found in compare(WHOLE, SENTENCES):
        assert WayFound.of(found.record()) == found
