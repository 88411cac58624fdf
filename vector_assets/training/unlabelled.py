"""Texts and images without pairs: what self-supervised learning reads, and how it is asked where nobody asks. Pure."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from vector_assets.records import Pair, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.duplicates import asking, looking_alike, resembling
from vector_assets.training.pair_rows import PairRow, capped, split_rows
from vector_assets.training.pairs import pairs_digest

#: Share of a text's words that a question made of it keeps: what TSDAE leaves of a text.
KEPT_WORDS = 0.4


def with_unlabelled(
    training_set: TrainingSet, rows: Iterable[PairRow], training: Training, *, evaluated: Sequence[str] = ()
) -> TrainingSet:
    """Return the set with the texts of rows outside of its pairs, as pairs of the split "unlabelled"."""
    assert training.pretrain is not None
    report: Counter[str] = Counter()
    kept = outside_of(training_set, rows, training, report, evaluated=evaluated)
    kept = capped(kept, training.pretrain.texts, "unlabelled", training.seed, report)
    report["unlabelled"] = len(kept)
    pairs = (*training_set.pairs, *(Pair("", row.document, row.group, "unlabelled", row.key) for row in kept))
    return TrainingSet(pairs_digest(pairs), pairs, {**training_set.report, **report})


def outside_of(
    training_set: TrainingSet, rows: Iterable[PairRow], training: Training, report: Counter[str], *,
    evaluated: Sequence[str] = (),
) -> list[PairRow]:  # fmt: skip
    """Return the rows outside of a set's pairs, each text once, none of which is held out.

    Left out are texts of held-out rows and groups, and what resembles a held-out document or query (of images by
    their perceptual hashes), or a question that is ``evaluated``; where the pairs come from a file, rows have no group
    of its kind, and likeness alone decides.
    """
    held_out = training_set.split("validation") + training_set.split("test")
    own = {pair.document for pair in training_set.split("train")}
    keys = {pair.key for pair in held_out if pair.key}
    texts: dict[str, PairRow] = {}
    looks: list[int] = []  # of held-out images
    for row in sorted(rows, key=lambda row: (row.group, row.key)):
        text = row.document.strip()
        if row.looks is not None and row.key in keys:
            looks.append(row.looks)
        dated = row.time is not None or not training.split.by_time or training.from_file
        if text and text not in own and row.key not in keys and dated:
            texts.setdefault(text, PairRow(row.key, "", text, row.group or row.key, time=row.time, looks=row.looks))
    kept = list(texts.values())
    if not training.from_file:
        groups = {pair.group for pair in held_out}
        kept = [row for row in _to_learn(kept, training, training_set, report) if row.group not in groups]
    hashes = [row.looks for row in kept if row.looks is not None]
    if hashes:
        alike = looking_alike(hashes, looks, training.split.image_bits)
    else:
        there = [text for pair in held_out for text in (pair.document, pair.query) if text]
        alike = resembling([row.document for row in kept], there, training.split.duplicates)
    report["near_duplicate_unlabelled"] = int(alike.sum())
    kept = [row for row, is_alike in zip(kept, alike, strict=True) if not is_alike]
    if evaluated:
        asked = asking(kept, evaluated, training)
        kept = [row for row, one in zip(kept, asked, strict=True) if not one]
        report["evaluated"] = int(training_set.report.get("evaluated", 0)) + sum(asked)
    return kept


def _to_learn(
    rows: Sequence[PairRow], training: Training, training_set: TrainingSet, report: Counter[str]
) -> list[PairRow]:
    """Return the rows that the split of the set's pairs would have put into train.

    A named group need not have any of them here. By time it is what is older than all that is held out.
    """
    split = training.split
    if isinstance(split.validation, list) and isinstance(split.test, list):
        named = {*split.validation, *split.test}
        return [row for row in rows if row.group not in named]
    if split.by_time:
        begins = min(training_set.report["validation_from"], training_set.report["test_from"])
        return [row for row in rows if row.time is not None and int(row.time.timestamp()) < begins]
    return split_rows(rows, training, report)["train"]


def pretraining_texts(training_set: TrainingSet, training: Training) -> list[str]:
    """Return the texts to read first: train documents and unlabelled ones, at most as many as declared, by seed."""
    assert training.pretrain is not None
    found = (*training_set.split("train"), *training_set.split("unlabelled"))
    texts = list(dict.fromkeys(pair.document for pair in found))
    most = training.pretrain.texts
    if len(texts) <= most:
        return texts
    drawn = np.random.default_rng([training.seed, 2]).permutation(len(texts))[:most]
    return [texts[place] for place in sorted(drawn)]


def asked_by_own_words(rows: Iterable[PairRow], *, seed: int) -> Iterator[PairRow]:
    """Make known-item questions: each text is asked for by some of its own words, in their order.

    Such pairs name no row, so that the gate never takes them for questions of people.
    """
    for row in rows:
        words = row.document.split()
        query = ""
        if words:
            number = hashlib.sha256(f"{seed}:{row.document}".encode("utf-8", "surrogatepass")).digest()[:8]
            generator = np.random.default_rng(int.from_bytes(number, "big"))
            count = max(1, round(KEPT_WORDS * len(words)))
            query = " ".join(words[place] for place in sorted(generator.permutation(len(words))[:count]))
        yield replace(row, key="", query=query, group=row.group or row.key)
