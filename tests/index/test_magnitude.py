"""Acceptance row L3: scores are cosines, so that a long vector does not beat one of the same direction."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder
from stages import materialize, measure

from vector_assets.errors import EncoderError
from vector_assets.records import Vectors
from vector_assets.stores.workspace import Workspace

WORDS = ("short", "like", "wide")
RAW = np.array([[0.3, 1], [0.4, 1.3], [10, 1]], np.float32)
#: By hand: .3 x .4 + 1 x 1.3 = 1.42, 4 and 5.3 are the products; over the lengths 1.04403, 1.36015 and 10.04988:
COSINES = {("short", "like"): 0.99998, ("short", "wide"): 0.381, ("like", "wide"): 0.388}
PRODUCTS = {("short", "like"): 1.42, ("short", "wide"): 4.0, ("like", "wide"): 5.3}


class PlaneEncoder(KeywordEncoder):
    """A vector in a plane by the word in the text, at its length or as it is."""

    unit = True

    def _vectors(self, texts: object) -> Vectors:
        named = [str(text).strip() for text in texts]  # type: ignore[attr-defined]
        vectors = np.stack([RAW[WORDS.index(word) if word in WORDS else 0] for word in named])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if self.unit else vectors


def filled(workspace: Workspace, declare: Declare, execute: Execute, name: str, metric: str) -> FakeStore:
    execute(f"create table {name} (id text primary key, body text)")
    for word in WORDS:
        execute(f"insert into {name} values ('{word}', '{word}')")
    changes = {"fields": {"body": "text"}, "spaces": {"text": {"fields": ["body"]}}, "evaluation": {"synthetic": 0}}
    return FakeStore(workspace, declare(index={"metric": metric}, **changes), PlaneEncoder(["short"], width=2))


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
def test_the_six_numbers(workspace: Workspace, declare: Declare, execute: Execute, name: str, metric: str) -> None:
    for (one, other), product in PRODUCTS.items():
        assert float(RAW[WORDS.index(one)] @ RAW[WORDS.index(other)]) == pytest.approx(product, abs=1e-5)
    store = filled(workspace, declare, execute, name, metric)
    materialize(store)
    for word, vector in zip(WORDS, RAW, strict=True):
        for question in (vector, vector / np.linalg.norm(vector)):
            text = "[" + ",".join(map(str, question)) + "]"
            found = dict(execute(f"select id, score from search.{name}('{text}', 3)"))  # type: ignore[arg-type, var-annotated]
            assert found[word] == pytest.approx(1, abs=1e-6)
            for pair, cosine in COSINES.items():
                if word in pair:
                    (other,) = set(pair) - {word}
                    assert found[other] == pytest.approx(cosine, abs=2e-5 if cosine > 0.9 else 5e-4)
    for word, vector in zip(WORDS, RAW, strict=True):
        for scale in (1e-6, 1e6):
            text = "[" + ",".join(map(str, vector * scale)) + "]"
            (found_first,) = execute(f"select id from search.{name}('{text}', 1)")
            assert found_first == (word,), "the nearest is the same, however long the question is"
    products = (RAW @ RAW.T) / np.outer(np.linalg.norm(RAW, axis=1), np.linalg.norm(RAW, axis=1))
    for number, (word, vector) in enumerate(zip(WORDS, RAW, strict=True)):
        text = "[" + ",".join(map(str, vector)) + "]"
        for other, score in execute(f"select id, score from search.{name}('{text}', 3)"):
            assert score == pytest.approx(products[number, WORDS.index(str(other))], abs=1e-4), (word, other)


@pytest.mark.parametrize("metric", ["cosine", "inner_product"])
def test_vectors_that_are_not_of_length_one_are_refused(
    workspace: Workspace, declare: Declare, execute: Execute, name: str, metric: str
) -> None:
    """By the stage that stores them; and by the candidate's check, where one came into the table another way."""
    store = filled(workspace, declare, execute, name, metric)
    encoder = store.chosen["text"]
    assert isinstance(encoder, PlaneEncoder)
    encoder.unit = False
    with pytest.raises(EncoderError, match="the vector is not finite and of length 1"):
        store.embed()
    assert not workspace.failures.list(name), "no row is to blame"
    encoder.unit = True
    assert store.embed().latest.encoded == 3
    assert measure(store).sound
    execute(f"update embedding.{store.all()[0].table} set vector = '[0.3,1]' where k1 = 'short'")
    measured = measure(store, maintenance=True)  # nothing says that the table was changed by hand
    assert not measured.sound
    (failed,) = (check for check in measured.checks if not check.passed and check.name == "dims_and_norm")
    assert "the farthest length is 4.40e-02 from 1" in failed.summary
