"""The encoder that a student imitates: its vectors of all texts, computed once, and what they say is near what."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from vector_assets.encoder.canaries import CheckedEncoder
from vector_assets.encoder.checked import checked_encoder
from vector_assets.encoder.text.model import cut
from vector_assets.metrics import Scores
from vector_assets.records import Checkpoint, JudgedQuery, Vectors
from vector_assets.training.retrieval import Pool

NEAREST = 10
_ROWS = 512  # texts compared with all others at once
_TIMED, _ROUNDS = 128, 3


class Teacher:
    """Vectors of a teacher, in the width of the student."""

    def __init__(self, teacher: Checkpoint, texts: Sequence[str], width: int, cache: Path, *, learned: int) -> None:
        """Encode each text once; another run with this teacher and these texts reads the file left in ``cache``.

        The first ``learned`` texts are those of train: they alone decide onto what a wider teacher is projected.

        Raises ContractMismatch or CanaryMismatch where the teacher is not what was stored.
        """
        self._own = _cached(checked_encoder(teacher), texts, cache)
        self._vectors = fitted(self._own, width, learned=learned)
        self._places = {text: place for place, text in enumerate(texts)}

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Return those of some of the texts, (n, width) of unit length."""
        return self._vectors[[self._places[text] for text in texts]]

    def pool(self, texts: Sequence[str]) -> Pool:
        """Return a pool in which each text asks for its ten nearest by the teacher; recall@10 is their share found."""
        distinct = list(dict.fromkeys(texts))
        vectors = self._own[[self._places[text] for text in distinct]]
        ids = [f"{number:08d}" for number in range(len(distinct))]
        queries: list[JudgedQuery] = []
        for start in range(0, len(distinct), _ROWS):
            scores = vectors[start : start + _ROWS] @ vectors.T
            scores[np.arange(len(scores)), np.arange(start, start + len(scores))] = -np.inf
            best = np.argsort(-scores, axis=1, kind="stable")[:, : min(NEAREST, len(distinct) - 1)]
            for row, places in enumerate(best):
                near = {ids[place]: 1.0 for place in places}
                queries.append(JudgedQuery(ids[start + row], distinct[start + row], near))
        return Pool(tuple(queries), tuple(distinct), own=tuple(range(len(distinct))))

    def cosines(self, texts: Sequence[str], student: Vectors) -> Scores:
        """Return for each text how near the student's vector is to the teacher's."""
        found: Scores = np.sum(self.vectors(texts) * student, axis=1).astype(np.float64)
        return found


def fitted(vectors: Vectors, width: int, *, learned: int) -> Vectors:
    """Return unit vectors of another width whose cosines are as near as can be to those of the given ones.

    Fewer dims: projected onto the main directions of the first ``learned`` rows (not centred: cosines are from zero).
    More: filled up with zeros.
    """
    if vectors.shape[1] <= width:
        return np.pad(vectors, ((0, 0), (0, width - vectors.shape[1])))
    first = vectors[:learned].astype(np.float64)
    _, directions = np.linalg.eigh(first.T @ first)  # by rising share of what the vectors hold
    return cut(vectors @ directions[:, ::-1].astype(np.float32), width)


def speed_ratio(teacher: Checkpoint, student: Checkpoint, texts: Sequence[str]) -> float:
    """Return how many times as many texts a second the student encodes, both in bulk as the embeddings stage does."""
    sample = list(texts[:_TIMED])
    seconds = []
    for checkpoint in (teacher, student):
        encoder = checked_encoder(checkpoint)
        encoder.encode_documents(sample)  # warms up
        rounds = []
        for _ in range(_ROUNDS):
            started = time.perf_counter()
            encoder.encode_documents(sample)
            rounds.append(time.perf_counter() - started)
        seconds.append(median(rounds))
    return seconds[0] / seconds[1]


def _cached(encoder: CheckedEncoder, texts: Sequence[str], cache: Path) -> Vectors:
    name = hashlib.sha256("\0".join([encoder.digest, *texts]).encode("utf-8", "surrogatepass")).hexdigest()
    path = cache / f"{name}.npy"
    try:
        known: Vectors = np.load(path, allow_pickle=False)
        if known.shape == (len(texts), encoder.dims):
            return known
    except (OSError, ValueError):  # absent, or cut off
        pass
    found = encoder.encode_documents(texts).vectors
    cache.mkdir(parents=True, exist_ok=True)
    working = path.with_name(f"{name}.{os.getpid()}")
    with working.open("wb") as file:
        np.save(file, found)
    working.replace(path)
    return found
