"""Mined negatives: what is hard, what is left out, what is covered by the digest, what the loss makes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runlog import MemoryLog

from vector_assets.encoder import TextEncoder, make_checkpoint
from vector_assets.records import Pair, TrainingSet, Vectors
from vector_assets.spec import Negatives, Training
from vector_assets.training import pairs_digest
from vector_assets.training.negatives import Corpus, with_negatives
from vector_assets.training.network import Network
from vector_assets.training.objectives import Contrastive, Seen
from vector_assets.training.session import Session

WORDS = {
    "own": "red cat sleeps on the old sofa",
    "nearly": "red cat sleeps on the old sofa today",
    "best": "owls hunt at night",
    "good": "the dog barks at strangers",
    "far": "fish swim in cold water",
    "other": "bread needs flour and salt",
}
SCORES = {"own": 0.8, "nearly": 0.79, "best": 0.78, "good": 0.7, "far": 0.5, "other": 0.2}


def _set(*more: Pair) -> TrainingSet:
    """One query under test; each other document answers a query of its own."""
    pairs = [Pair("q own", WORDS["own"], "g", "train")]
    pairs += [Pair(f"q {name}", text, "g", "train") for name, text in WORDS.items() if name != "own"]
    pairs += [*more, Pair("q held", "held out text", "g", "validation"), Pair("q test", "tested text", "g", "test")]
    return TrainingSet(pairs_digest(pairs), tuple(pairs), {"train": 6})


def _vectors(training_set: TrainingSet) -> tuple[Vectors, Vectors]:
    """The first query sees the documents at SCORES; the others see only their own."""
    corpus = Corpus.of(training_set.split("train"))
    names = {text: name for name, text in WORDS.items()}
    documents = np.zeros((len(corpus.documents), 16), np.float32)
    for place, text in enumerate(corpus.documents):
        score = SCORES[names[text]]
        documents[place, [0, place + 1]] = score, np.sqrt(1 - score**2)
    queries = np.zeros((len(corpus.queries), 16), np.float32)
    for place, query in enumerate(corpus.queries):
        own = query.split()[1]
        axis = 0 if own == "own" else corpus.documents.index(WORDS[own]) + 1
        queries[place, axis] = 1
    return queries, documents


def _mined(training_set: TrainingSet, wanted: Negatives) -> TrainingSet:
    corpus = Corpus.of(training_set.split("train"))
    return with_negatives(training_set, corpus, *_vectors(training_set), wanted, alike=0.8, counts={"mined_by_base": 1})


def _names(training_set: TrainingSet, query: str = "q own") -> list[str]:
    names = {text: name for name, text in WORDS.items()}
    pair = next(pair for pair in training_set.pairs if pair.query == query)
    return [names[text] for text in pair.negatives]


def test_the_hardest_that_are_surely_wrong_are_taken() -> None:
    # "nearly" resembles the answer, and "best" at 0.78 is over 95 % of the answer's 0.8
    found = _mined(_set(), Negatives(mined=2))
    assert _names(found) == ["good", "far"]
    assert _names(_mined(_set(), Negatives(mined=2, margin=0.0))) == ["best", "good"]
    assert _names(_mined(_set(), Negatives(mined=2, skip=3, margin=0.0))) == ["far", "other"]
    assert (found.report["mined_near_duplicate"], found.report["mined_by_base"], found.report["train"]) == (1, 1, 6)
    assert found.report["mined"] == sum(len(pair.negatives) for pair in found.pairs)
    assert not any(pair.negatives for pair in found.pairs if pair.split != "train")


def test_however_many_are_above_the_answer_those_just_below_it_are_found() -> None:
    pairs = [Pair(f"q{n}", f"text number {n} of many", "g", "train") for n in range(80)]
    scores = np.linspace(0.9, 0.1, 80).astype(np.float32)
    documents = np.stack([scores, np.sqrt(1 - scores**2)], axis=1)
    queries = np.tile(np.array([[1, 0]], np.float32), (80, 1))
    drawn = TrainingSet("", tuple(pairs), {})
    corpus = Corpus.of(pairs)
    found = with_negatives(drawn, corpus, queries, documents, Negatives(mined=2, margin=0.0), alike=0.9, counts={})
    assert found.pairs[60].negatives == ("text number 61 of many", "text number 62 of many")
    assert found.pairs[79].negatives == () and found.report["mined_fewer"] == 2


def test_no_answer_of_the_query_and_nothing_held_out_is_ever_mined() -> None:
    both = _set(Pair("Q  OWN", WORDS["good"], "g", "train"))
    corpus = Corpus.of(both.split("train"))
    queries, documents = _vectors(_set())
    queries = np.concatenate([queries, queries[:1]])  # the same question in capitals
    found = with_negatives(both, corpus, queries, documents, Negatives(mined=9, margin=0.0), alike=0.8, counts={})
    assert "good" not in _names(found) and _names(found) == ["best", "far", "other"]
    assert not {"held out text", "tested text"} & {text for pair in found.pairs for text in pair.negatives}
    assert "held out text" not in corpus.documents


def test_other_rows_are_candidates_too_unless_they_resemble_the_answer() -> None:
    one = [Pair("q", WORDS["own"], "g", "train")]
    drawn = TrainingSet("", tuple(one), {})
    corpus = Corpus.of(one, [WORDS["good"], WORDS["nearly"], WORDS["far"], WORDS["own"]])
    assert corpus.documents == (WORDS["own"], WORDS["good"], WORDS["nearly"], WORDS["far"])
    assert corpus.answers == (frozenset({0}),)
    scores = np.array([0.8, 0.7, 0.75, 0.5], np.float32)
    documents = np.stack([scores, np.sqrt(1 - scores**2)], axis=1)
    queries = np.array([[1, 0]], np.float32)
    found = with_negatives(drawn, corpus, queries, documents, Negatives(mined=5), alike=0.8, counts={})
    assert found.pairs[0].negatives == (WORDS["good"], WORDS["far"])
    assert found.report["mined_near_duplicate"] == 1


def test_the_digest_covers_them() -> None:
    plain, few, more = _set(), _mined(_set(), Negatives(mined=1)), _mined(_set(), Negatives(mined=2))
    assert len({plain.digest, few.digest, more.digest}) == 3
    assert few.digest == pairs_digest(few.pairs) == _mined(_set(), Negatives(mined=1)).digest


def test_the_loss_counts_them_as_wrong_for_every_query() -> None:
    import torch

    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    wrong = torch.tensor([[1.0, 0.0]])
    found = float(Contrastive().loss(Seen(queries, queries, negatives=wrong)))
    # the first query cannot tell the negative from its answer; to the second it is as far as the other answer
    wanted = (np.log(2 + np.exp(-20.0)) + np.log1p(2 * np.exp(-20.0))) / 2
    assert found == pytest.approx(wanted, abs=1e-6)


def test_a_batch_embeds_each_once_and_none_that_answers_one_of_its_queries(base: Path, tmp_path: Path) -> None:
    pairs = [
        Pair("a1", "b1", "", "train", negatives=("b2", "b3", "b4")),
        Pair("a2", "b2", "", "train", negatives=("b3", "b5")),
        Pair("a2", "b4", "", "train"),
        Pair("a3", "b3", "", "train"),
        Pair("a5", "b5", "", "train"),
    ]
    stored = make_checkpoint(base, tmp_path).folder
    encoder = TextEncoder(stored)
    session = Session(
        Network(stored, trainable="last_1"), pairs, pairs[:2], Training(pairs="p"), log=MemoryLog(),
        tokenize=lambda texts, is_query: encoder.tokenize(texts, role="query" if is_query else "document").ids,
    )  # fmt: skip
    assert session._wrong([0, 1]) == ["b3", "b5"]  # b4 answers a2
    assert session._wrong([0, 3]) == ["b2", "b4"] and session._wrong([3, 4]) == []
    optimizer = session.optimizer()
    assert session.update([0, 3], optimizer, 1e-4) > 0
