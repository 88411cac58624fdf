"""Hard negatives out of what is live: the vectors that people search, the checkpoint that answers them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
from psycopg import sql

from vector_assets.encoder.open import store_untrained
from vector_assets.errors import CanaryMismatch
from vector_assets.records import Encoder, Generation, Part, TrainingSet, Vectors
from vector_assets.spec import Collection, Training
from vector_assets.stores.arrays import to_array
from vector_assets.stores.revisions import space_settings
from vector_assets.stores.workspace import Workspace, checked_encoder
from vector_assets.training.negatives import Corpus, with_negatives
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.unlabelled import outside_of

_AT_ONCE = 5000  # digests asked for in one query
#: Rows outside of the pairs that are looked at, drawn by seed: their vectors are held in memory.
OTHERS = 50_000


def with_mined(
    workspace: Workspace, collection: Collection, space: str, training_set: TrainingSet, rows: Iterable[PairRow], *,
    evaluated: Sequence[str] = (),
) -> TrainingSet:  # fmt: skip
    """Return the set with hard negatives where the space declares them, else as it is.

    The live generation ranks: its vectors are read where they are of just this text, and made with its checkpoint where
    they are not. Candidates are the train documents and, of the live generation, the collection's ``rows`` outside of
    all pairs. Before anything is live, or where it does not give its canaries, the untrained encoder ranks the train
    documents, and the report says so.
    """
    declared = collection.spaces[space]
    if declared.train is None or declared.train.negatives is None:
        return training_set
    train = training_set.split("train")
    corpus = Corpus.of(train)
    vectors: dict[int, Vectors] = {}
    live = next((g for g in workspace.generations.list(collection.name) if g.state == "live"), None)
    part = next((part for part in live.parts if part.space == space), None) if live else None
    ranks = _live_encoder(workspace, part) if part else None
    encoder: Encoder
    if live and part and ranks:
        encoder = ranks
        others = _others(training_set, rows, declared.train, evaluated)
        known = _stored(workspace, live, part, [*corpus.documents, *others])
        first = len(corpus.documents)
        there = [(text, known[first + place]) for place, text in enumerate(others) if first + place in known]
        corpus = Corpus.of(train, (text for text, _ in there))
        vectors = {place: vector for place, vector in known.items() if place < first}
        vectors |= {first + place: vector for place, (_, vector) in enumerate(there)}
        counts = {"mined_by_generation": live.number, "mined_from_rows": len(there)}
    else:
        base = store_untrained(
            declared.encoder, workspace.checkpoint_folder,
            folder=collection.folder, models=workspace.tracked_model,
            settings=space_settings(workspace, collection, space),
        )  # fmt: skip
        encoder = checked_encoder(base)
        counts = {"mined_by_base": 1}
    missing = [place for place in range(len(corpus.documents)) if place not in vectors]
    made = encoder.encode_documents([corpus.documents[place] for place in missing]).vectors
    vectors |= dict(zip(missing, made, strict=True))
    documents = np.stack([vectors[place] for place in range(len(corpus.documents))])
    return with_negatives(
        training_set, corpus, encoder.encode_queries(corpus.queries), documents, declared.train.negatives,
        alike=declared.train.split.duplicates,
        counts={**counts, "mined_vectors_read": len(documents) - len(missing), "mined_vectors_made": len(missing)},
    )  # fmt: skip


def _others(
    training_set: TrainingSet, rows: Iterable[PairRow], training: Training, evaluated: Sequence[str]
) -> list[str]:
    """Return the texts of rows that no pair names and that are not held out; as many as are looked at, by seed."""
    texts = [row.document for row in outside_of(training_set, rows, training, Counter(), evaluated=evaluated)]
    if len(texts) <= OTHERS:
        return texts
    drawn = np.random.default_rng([training.seed, 3]).permutation(len(texts))[:OTHERS]
    return [texts[place] for place in sorted(drawn)]


def _live_encoder(workspace: Workspace, part: Part) -> Encoder | None:
    """Load what is live; None where it does not give its canaries, and so may not be mixed with its stored vectors."""
    try:
        return workspace.encoder(part.checkpoint)
    except CanaryMismatch:
        return None


def _stored(workspace: Workspace, live: Generation, part: Part, documents: Sequence[str]) -> dict[int, Vectors]:
    """Return the live vectors of these very texts, by place: (dims,) each, of unit length."""
    places = {hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest(): n for n, text in enumerate(documents)}
    digests = list(places)
    found: dict[int, Vectors] = {}
    query = sql.SQL("select chunk_digest, vector from {} where chunk_digest = any(%s)").format(
        workspace.embeddings.vectors_table(live)
    )
    with workspace.database.connect() as connection:
        for start in range(0, len(digests), _AT_ONCE):
            rows = connection.execute(query, (digests[start : start + _AT_ONCE],)).fetchall()
            for digest, vector in rows:
                values = np.asarray(to_array(vector)[part.place], np.float32)
                length = float(np.linalg.norm(values))
                if length:  # a row may have no text in this space
                    found[places[cast(bytes, digest)]] = values / length
    return found
