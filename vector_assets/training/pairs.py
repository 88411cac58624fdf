"""Rows -> a training set: pairs in three splits that share neither a group nor a near-duplicate. Pure.

In this order, each step counted in the report:

1.  Pairs with an empty query or document, or a query of too few words, are left out; so are exact duplicates, of which
    one stays with the negatives of all. A negative that answers the same query elsewhere is none. Of labelled texts
    those without a label are left out, and all that stand there with two labels.
2.  Whole groups go to test, validation or train: by name, by a hash of seed and group, or by time (``splits.py``).
    Validation and train lose what asks a question that the collection is judged by, or nearly does (``evaluated``).
3.  Test and validation are cut to ``max_test`` and ``max_validation`` pairs, drawn by seed.
4.  A validation pair that resembles a test pair is removed; then a train pair that resembles any held-out one.
    To resemble is a cosine of at least ``split.duplicates`` between the sets of word 3-grams of the two queries, or of
    the two documents (unless these are declared shared). A text of one or two words is its own only 3-gram. Train loses
    negatives that resemble a held-out document as well. Images resemble each other when their perceptual hashes differ
    in at most ``split.image_bits`` of 64 bits.
5.  Train is cut to ``max_pairs``, drawn by seed.
6.  Weights are divided by their mean in train.

Labelled texts go the same way: a document without a query. Held-out ones whose label train does not have are kept (to
hold whole labels out, split by the label's own field), and are counted as ``unseen_label_…``.

The outcome does not depend on the order of the rows.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import FieldPairs, Training
from vector_assets.training.duplicates import asking, looking_alike, resembling
from vector_assets.training.enough import SPLITS, require_labels, require_pairs
from vector_assets.training.pair_rows import PairRow, capped, split_rows
from vector_assets.training.texts import hash_of, plain


def pairs_from_rows(
    rows: Iterable[PairRow],
    training: Training,
    known: Mapping[str, float] | None = None,
    *,
    evaluated: Sequence[str] = (),
) -> TrainingSet:
    """Return the training set. Raises SpecError for an unknown group and for a split without pairs.

    ``known`` is what is to be reported beside: it is read once the rows are, and may be filled while they are.
    ``evaluated`` are the questions that the collection is judged by.
    """
    report: Counter[str] = Counter()
    labelled = training.labels is not None
    kept = _labelled(rows, training, report) if labelled else _usable(rows, training, report)
    told = {**report, **(known or {})}
    splits = split_rows(kept, training, report)
    dated = {f"{name}_from": _earliest(splits[name]) for name in ("validation", "test") if training.split.by_time}
    learned: tuple[SplitName, ...] = ("validation", "train") if evaluated else ()
    for name in learned:
        asked = asking(splits[name], evaluated, training)
        splits[name] = [row for row, one in zip(splits[name], asked, strict=True) if not one]
        report["evaluated"] += sum(asked)
    held: tuple[SplitName, ...] = ("test", "validation")
    for name in held:
        most = training.max_test if name == "test" else training.max_validation
        splits[name] = capped(splits[name], most, name, training.seed, report)
    splits["validation"] = _without(splits["validation"], splits["test"], "validation", training, report)
    held_out = splits["validation"] + splits["test"]
    splits["train"] = _without(splits["train"], held_out, "train", training, report)
    splits["train"] = capped(splits["train"], training.max_pairs, "train", training.seed, report)
    require_pairs(splits, training, told | report)
    if labelled:
        require_labels(splits, report)
    scale = _mean_weight(splits["train"])
    pairs = tuple(_pair(row, name, scale) for name in SPLITS for row in splits[name])
    report.update({name: len(splits[name]) for name in SPLITS})
    return TrainingSet(pairs_digest(pairs), pairs, {**told, **report, **dated})


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """Return sha256 over the canonical JSON of the pairs, in their order.

    Labels, negatives and weights are part of it where a pair has them, so that sets without keep the digest they had.
    """
    total = hashlib.sha256()
    for pair in pairs:
        line: list[object] = [pair.split, pair.group, pair.key, pair.query, pair.document]
        line += [pair.label] if pair.label else []
        line += [{"negatives": list(pair.negatives)}] if pair.negatives else []
        line += [{"weight": pair.weight}] if pair.weight != 1 else []
        total.update(
            json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        )
    return total.hexdigest()


def _usable(rows: Iterable[PairRow], training: Training, report: Counter[str]) -> list[PairRow]:
    least = training.pairs.min_words if isinstance(training.pairs, FieldPairs) else 1
    found: dict[tuple[str, str], PairRow] = {}
    for row in sorted(rows, key=_order):
        report["rows"] += 1
        query, document = row.query.strip(), row.document.strip()
        words = len(query.split())
        place = plain(query), plain(document)
        if not words:
            report["empty_query"] += 1
        elif words < least:
            report["short_query"] += 1
        elif not document:
            report["empty_document"] += 1
        elif training.split.by_time and row.time is None:
            report["no_time"] += 1
        elif place in found:
            report["duplicate"] += 1
            found[place] = _together(found[place], row)
        else:
            group = row.group or row.key or hash_of(0, document)
            found[place] = replace(row, query=query, document=document, group=group)
    return _with_true_negatives(list(found.values()), report)


def _order(row: PairRow) -> tuple[object, ...]:
    return (row.group, row.key, row.query, row.document, row.negatives, row.weight, str(row.time))


def _together(first: PairRow, other: PairRow) -> PairRow:
    """Return what two rows of one query and document say: all negatives, the higher weight, the later time."""
    time = max(first.time, other.time) if first.time and other.time else first.time or other.time
    negatives = (*first.negatives, *other.negatives)
    return replace(first, negatives=negatives, weight=max(first.weight, other.weight), time=time)


def _with_true_negatives(rows: list[PairRow], report: Counter[str]) -> list[PairRow]:
    """Leave out negatives that are blank, stand twice, or are an answer of the same query."""
    if not any(row.negatives for row in rows):
        return rows
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(plain(row.query), set()).add(plain(row.document))
    found = []
    for row in rows:
        negatives = {plain(one.strip()): one.strip() for one in reversed(row.negatives) if one.strip()}
        wrong = answers[plain(row.query)] & negatives.keys()
        report["negative_is_answer"] += len(wrong)
        kept = tuple(text for name, text in reversed(negatives.items()) if name not in wrong)
        report["negatives"] += len(kept)
        found.append(replace(row, negatives=kept))
    return found


def _labelled(rows: Iterable[PairRow], training: Training, report: Counter[str]) -> list[PairRow]:
    found: dict[str, PairRow | None] = {}  # None: the text has two labels, so what it is nobody knows
    for row in sorted(rows, key=lambda row: (row.group, row.key, row.document, row.label)):
        report["rows"] += 1
        document, label = row.document.strip(), row.label.strip()
        if not label:
            report["no_label"] += 1
        elif not document:
            report["empty_document"] += 1
        elif training.split.by_time and row.time is None:
            report["no_time"] += 1
        elif plain(document) not in found:
            group = row.group or row.key
            found[plain(document)] = PairRow(row.key, "", document, group, label, time=row.time, looks=row.looks)
        else:
            first = found[plain(document)]
            if first is not None and first.label != label:
                found[plain(document)] = first = None
                report["two_labels"] += 1  # the first of them, which was counted as usable
            elif first is not None:
                found[plain(document)] = _together(first, row)
            report["two_labels" if first is None else "duplicate"] += 1
    return [row for row in found.values() if row is not None]


def _earliest(rows: Sequence[PairRow]) -> int:
    """Return the time of the oldest row in seconds of Unix, 0 where there is none."""
    return min((int(row.time.timestamp()) for row in rows if row.time), default=0)


def _without(
    rows: list[PairRow], held_out: Sequence[PairRow], name: SplitName, training: Training, report: Counter[str]
) -> list[PairRow]:
    if not rows or not held_out:
        return rows
    threshold, apart = training.split.duplicates, training.split.documents == "apart"
    alike = [False] * len(rows)
    if rows[0].looks is not None:
        there = [row.looks for row in held_out if row.looks is not None]
        here = [row.looks for row in rows if row.looks is not None]
        alike = [bool(one) for one in looking_alike(here, there, training.split.image_bits)]
    elif apart:
        alike = _alike([row.document for row in rows], held_out, threshold)
    if any(row.query for row in held_out):  # labelled texts have none
        asked = resembling([row.query for row in rows], [row.query for row in held_out], threshold)
        alike = [one or bool(other) for one, other in zip(alike, asked, strict=True)]
    report[f"near_duplicate_{name}"] += sum(alike)
    kept = [row for row, is_alike in zip(rows, alike, strict=True) if not is_alike]
    if name != "train" or not apart or not any(row.negatives for row in kept):
        return kept
    texts = list(dict.fromkeys(text for row in kept for text in row.negatives))
    held = {text for text, is_alike in zip(texts, _alike(texts, held_out, threshold), strict=True) if is_alike}
    report["near_duplicate_negatives"] += sum(text in held for row in kept for text in row.negatives)
    return [replace(row, negatives=tuple(one for one in row.negatives if one not in held)) for row in kept]


def _alike(documents: Sequence[str], held_out: Sequence[PairRow], threshold: float) -> list[bool]:
    return [bool(one) for one in resembling(documents, [row.document for row in held_out], threshold)]


def _mean_weight(rows: Sequence[PairRow]) -> float:
    weights = {row.weight for row in rows}
    return weights.pop() if len(weights) == 1 else sum(row.weight for row in rows) / len(rows)


def _pair(row: PairRow, split: SplitName, scale: float) -> Pair:
    weight = max(1e-6, round(row.weight / scale, 6))
    return Pair(row.query, row.document, row.group, split, row.key, row.label, row.negatives, weight)
