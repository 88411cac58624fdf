"""Rows with questions to learn from and others to be judged by: three sets, and an encoder that remembers vectors."""

from __future__ import annotations

import csv
import gzip
import hashlib
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vector_assets import connect
from vector_assets.embedding.text import row_text
from vector_assets.encoder import load_encoder
from vector_assets.records import BadRow, Checkpoint, Encoded, JudgedQuery, Vectors
from vector_assets.source.jsonl import read_objects
from vector_assets.source.judged import read_judged
from vector_assets.source.keys import row_key
from vector_assets.source.python_code import PythonCodeReader
from vector_assets.spec import PythonCodeSource
from vector_assets.stores.held_out import of_test_split
from vector_assets.training import PairRow, pairs_from_rows


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """``rows`` is text by id."""

    name: str
    rows: dict[str, str]
    learned: list[JudgedQuery]
    judged: list[JudgedQuery]


def scifact(folder: Path) -> JudgedSet:
    """All abstracts; the train claims to learn from, the test claims to be judged by."""
    lines = read_objects(str(folder / "corpus.jsonl.gz"))
    rows = {line.text("_id"): row_text([line.text("title"), line.text("text")]) for line in lines}
    train, test = (
        read_judged(str(folder / "queries.jsonl.gz"), str(folder / f"qrels_{name}.tsv.gz"))
        for name in ("train", "test")
    )
    return JudgedSet("scifact", rows, train, test)


def python_functions() -> JudgedSet:
    """The bundled collection: first sentences ask for code without them. pandas to learn from, mlflow and dagster."""
    declared = connect().collection("python_functions").spec
    space = declared.spaces["code"]
    assert space.train
    assert isinstance(declared.source, PythonCodeSource)
    rows, pairs = {}, []
    for row in PythonCodeReader(declared, declared.source).rows():
        if isinstance(row, BadRow):
            continue
        values = dict(zip(declared.fields, row.values, strict=True))
        rows[str(row.key[0])] = text = row_text([values[field] for field in space.fields])
        asks = str(values["summary"] or "")
        pairs.append(PairRow(row_key(row.key), asks, text, str(values["distribution"])))
    drawn = pairs_from_rows(pairs, space.train)
    learned, judged = (list(of_test_split("code", drawn.split(name))) for name in ("validation", "test"))
    return JudgedSet("python_functions", rows, learned, judged)


def banking77(folder: Path, *, per_intent: int = 30, asked: int = 500) -> JudgedSet:
    """Questions of train are rows, all of an intent answer; others are learned from, some of test are judged."""
    drawn = random.Random(0)
    texts: dict[str, list[tuple[str, str]]] = {}
    for name in ("train", "test"):
        with gzip.open(folder / f"{name}.csv.gz", "rt", newline="", encoding="utf-8") as file:
            texts[name] = [(line["text"].strip(), line["category"]) for line in csv.DictReader(file)]
        drawn.shuffle(texts[name])
    rows: dict[str, str] = {}
    answers: dict[str, dict[str, float]] = defaultdict(dict)
    left = []
    for number, (text, intent) in enumerate(texts["train"]):
        if len(answers[intent]) < per_intent:
            rows[str(number)] = text
            answers[intent][row_key((str(number),))] = 1.0
        else:
            left.append((text, intent))
    learned, judged = (
        [JudgedQuery(f"{name}{n}", text, answers[intent]) for n, (text, intent) in enumerate(some[:asked])]
        for name, some in (("l", left), ("t", texts["test"]))
    )
    return JudgedSet("banking77", rows, learned, judged)


class RememberingEncoder:
    """A checkpoint's encoder whose vectors stay in a folder, so that a benchmark that is run again encodes nothing."""

    bulk_bound = 0.9999

    def __init__(self, checkpoint: Checkpoint, folder: Path) -> None:
        self.digest, self.dims = checkpoint.digest, int(str(checkpoint.contract["dims"]))
        self._of, self._folder, self._known = checkpoint, folder, dict[str, Vectors]()
        for file in folder.glob(f"{self.digest[:12]}-*.npz"):
            with np.load(file) as kept:
                self._known |= dict(zip(kept["keys"].tolist(), kept["vectors"], strict=True))

    def remember(self, texts: Sequence[str], *, role: str) -> None:
        """Encode what is not known, and keep it."""
        new = sorted({text for text in texts if _key(role, text) not in self._known})
        if not new:
            return
        model = load_encoder(self._of.folder)
        vectors = model.encode_documents(new).vectors if role == "document" else model.encode_queries(new)
        keys = [_key(role, text) for text in new]
        self._folder.mkdir(parents=True, exist_ok=True)
        np.savez(self._folder / f"{self.digest[:12]}-{_key(role, keys[0])[:12]}.npz", keys=keys, vectors=vectors)
        self._known |= dict(zip(keys, vectors, strict=True))

    def encode_documents(self, texts: Sequence[str]) -> Encoded:
        """Look up: (n, dims), unit length."""
        self.remember(texts, role="document")
        found = np.stack([self._known[_key("document", text)] for text in texts])
        return Encoded(found, np.zeros(len(texts), np.bool_), len(texts))

    def encode_queries(self, texts: Sequence[str]) -> Vectors:
        """The same of questions."""
        self.remember(texts, role="query")
        return np.stack([self._known[_key("query", text)] for text in texts])


def _key(role: str, text: str) -> str:
    return hashlib.sha256(f"{role} {text}".encode()).hexdigest()
