"""A collection that can drift: an encoder whose vectors are of a topic and of nobody else, and rows of a topic."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from fakes import Execute, FakeStore, KeywordEncoder

from vector_assets.records import Pair, TrainingSet, Vectors

TOPICS = ("music", "speech")


@dataclass
class TopicEncoder(KeywordEncoder):
    """Topic i is axis i; the rest is noise that only the text decides, so that two texts are never alike."""

    words: Sequence[str] = TOPICS
    width: int | None = 10
    strength: float = 1.5

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        rows = []
        for text in texts:
            noise = np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]))
            vector = noise.normal(size=self.dims)
            for axis, word in enumerate(self.words):
                vector[axis] += self.strength * (word in text)
            rows.append(vector / np.linalg.norm(vector))
        return np.asarray(rows, np.float32).reshape(len(texts), self.dims)


def add_rows(execute: Execute, table: str, topic: str, first: int, count: int) -> None:
    execute(
        f"insert into {table} (id, title, body, topic, price) select i, '{topic} ' || i, 'b', 't', 0 "
        f"from generate_series({first}, {first + count - 1}) i"
    )


def train_on(
    store: FakeStore, documents: Sequence[str], *, queries: Callable[[int], str], keys: bool = False, space: str = ""
) -> str:
    """Record that the chosen checkpoint (of the one space, or of a named one) was trained on these texts.

    Two more were held out, which are no part of what it was trained on.
    """
    space = space or next(iter(store.collection.spaces))
    workspace, digest = store.workspace, store.chosen[space].digest
    pairs = tuple(
        Pair(queries(place), text, "", "train", f"[{place + 1}]" if keys else "")
        for place, text in enumerate(documents)
    )
    pairs += (Pair("asked of test", "held out", "", "test"), Pair("asked of validation", "kept back", "", "validation"))
    name = hashlib.sha256(repr((store.collection.name, digest, pairs)).encode()).hexdigest()
    workspace.training_sets.save(store.collection.name, space, "declared", TrainingSet(name, pairs, {}))
    workspace.checkpoints.save_training(
        f"key-{name}", store.collection.name, space, training_set=name, base=digest, checkpoint=digest, result={}
    )
    return name
