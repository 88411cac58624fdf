"""Rows -> a training set: pairs in three splits that share neither a group nor a near-duplicate. Pure.

In this order, each step counted in the report:

1.  Pairs with an empty query or document, or a query of too few words, are left out; so are exact duplicates. Of
    labelled texts those without a label are left out, and all that stand there with two labels.
2.  Whole groups go to test, validation or train: by name, or by a hash of seed and group.
3.  Test and validation are cut to ``max_test`` and ``max_validation`` pairs, drawn by seed.
4.  A validation pair that resembles a test pair is removed; then a train pair that resembles any held-out one.
    To resemble is a cosine of at least ``split.duplicates`` between the sets of word 3-grams of the two queries, or of
    the two documents. A text of one or two words is its own only 3-gram.
5.  Train is cut to ``max_pairs``, drawn by seed.

Labelled texts go the same way: a document without a query. Held-out ones whose label train does not have are kept (to
hold whole labels out, split by the label's own field), and are counted as ``unseen_label_…``.

The outcome does not depend on the order of the rows.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vector_assets.errors import SpecError
from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import FieldPairs, Training
from vector_assets.training.duplicates import resembling

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")

_SPACE = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class PairRow:
    """What a pair is made of. ``key`` is the JSON row key of the answer, "" when it is no row; ``group`` may be "".

    A labelled text has a label in place of a query.
    """

    key: str
    query: str
    document: str
    group: str = ""
    label: str = ""


def pairs_from_rows(rows: Iterable[PairRow], training: Training) -> TrainingSet:
    """Return the training set. Raises SpecError for an unknown group and for a split without pairs."""
    report: Counter[str] = Counter()
    labelled = training.labels is not None
    kept = _labelled(rows, report) if labelled else _usable(rows, training, report)
    splits = _split(kept, training)
    for name in ("test", "validation"):
        most = training.max_test if name == "test" else training.max_validation
        splits[name] = _cap(splits[name], most, name, training.seed, report)
    threshold = training.split.duplicates
    splits["validation"] = _without(splits["validation"], splits["test"], "validation", threshold, report)
    held_out = splits["validation"] + splits["test"]
    splits["train"] = _without(splits["train"], held_out, "train", threshold, report)
    splits["train"] = _cap(splits["train"], training.max_pairs, "train", training.seed, report)
    _require_pairs(splits, training, report)
    if labelled:
        _require_labels(splits, report)
    pairs = tuple(Pair(r.query, r.document, r.group, name, r.key, r.label) for name in SPLITS for r in splits[name])
    report.update({name: len(splits[name]) for name in SPLITS})
    return TrainingSet(pairs_digest(pairs), pairs, dict(report))


def pairs_digest(pairs: Sequence[Pair]) -> str:
    """Return sha256 over the canonical JSON of the pairs, in their order.

    Labels and negatives are part of it where a pair has them, so that sets without keep the digest they had.
    """
    total = hashlib.sha256()
    for pair in pairs:
        line: list[object] = [pair.split, pair.group, pair.key, pair.query, pair.document]
        line += [pair.label] if pair.label else []
        line += [{"negatives": list(pair.negatives)}] if pair.negatives else []
        total.update(
            json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass") + b"\n"
        )
    return total.hexdigest()


def _usable(rows: Iterable[PairRow], training: Training, report: Counter[str]) -> list[PairRow]:
    least = training.pairs.min_words if isinstance(training.pairs, FieldPairs) else 1
    found: dict[tuple[str, str], PairRow] = {}
    for row in sorted(rows, key=lambda row: (row.group, row.key, row.query, row.document)):
        report["rows"] += 1
        query, document = row.query.strip(), row.document.strip()
        words = len(query.split())
        if not words:
            report["empty_query"] += 1
        elif words < least:
            report["short_query"] += 1
        elif not document:
            report["empty_document"] += 1
        elif (_plain(query), _plain(document)) in found:
            report["duplicate"] += 1
        else:
            group = row.group or row.key or _hash(0, document)
            found[_plain(query), _plain(document)] = PairRow(row.key, query, document, group)
    return list(found.values())


def _labelled(rows: Iterable[PairRow], report: Counter[str]) -> list[PairRow]:
    found: dict[str, PairRow | None] = {}  # None: the text has two labels, so what it is nobody knows
    for row in sorted(rows, key=lambda row: (row.group, row.key, row.document, row.label)):
        report["rows"] += 1
        document, label = row.document.strip(), row.label.strip()
        if not label:
            report["no_label"] += 1
        elif not document:
            report["empty_document"] += 1
        elif _plain(document) not in found:
            found[_plain(document)] = PairRow(row.key, "", document, row.group or row.key, label)
        else:
            first = found[_plain(document)]
            if first is not None and first.label != label:
                found[_plain(document)] = first = None
                report["two_labels"] += 1  # the first of them, which was counted as usable
            report["two_labels" if first is None else "duplicate"] += 1
    return [row for row in found.values() if row is not None]


def _split(rows: Sequence[PairRow], training: Training) -> dict[SplitName, list[PairRow]]:
    validation, test = training.split.validation, training.split.test
    places: dict[str, SplitName] = {}
    groups = sorted({row.group for row in rows})
    if isinstance(validation, list) and isinstance(test, list):
        for name, wanted in (("validation", validation), ("test", test)):
            unknown = sorted(set(wanted) - set(groups))
            if unknown:
                raise SpecError(
                    f"train.split.{name}: no usable pair has {training.split.by} = {unknown[0]!r} "
                    f"(groups found: {_some(groups)})"
                )
        places = {**dict.fromkeys(validation, "validation"), **dict.fromkeys(test, "test")}
    elif isinstance(validation, float) and isinstance(test, float):
        for group in groups:
            share = int(_hash(training.seed, group)[:16], 16) / 16**16
            places[group] = "test" if share < test else "validation" if share < test + validation else "train"
    splits: dict[SplitName, list[PairRow]] = {name: [] for name in SPLITS}
    for row in rows:
        splits[places.get(row.group, "train")].append(row)
    return splits


def _cap(rows: list[PairRow], most: int | None, name: SplitName, seed: int, report: Counter[str]) -> list[PairRow]:
    if most is None or len(rows) <= most:
        return rows
    report[f"over_cap_{name}"] += len(rows) - most
    drawn = sorted(range(len(rows)), key=lambda place: _hash(seed, rows[place].query + "\0" + rows[place].document))
    return [rows[place] for place in sorted(drawn[:most])]


def _without(
    rows: list[PairRow], held_out: Sequence[PairRow], name: SplitName, threshold: float, report: Counter[str]
) -> list[PairRow]:
    if not rows or not held_out:
        return rows
    alike = resembling([row.document for row in rows], [row.document for row in held_out], threshold)
    if any(row.query for row in held_out):  # labelled texts have none
        alike |= resembling([row.query for row in rows], [row.query for row in held_out], threshold)
    report[f"near_duplicate_{name}"] += int(alike.sum())
    return [row for row, is_alike in zip(rows, alike, strict=True) if not is_alike]


def _require_pairs(
    splits: Mapping[SplitName, Sequence[PairRow]], training: Training, report: Mapping[str, int]
) -> None:
    for name in SPLITS:
        if len(splits[name]) < 2:
            left_out = ", ".join(f"{reason} {count}" for reason, count in report.items() if reason != "rows")
            raise SpecError(
                f"train.split: {len(splits[name])} pairs in {name}, at least 2 are needed; "
                f"of {report.get('rows', 0)} rows left out: {left_out or 'none'}; "
                f"check split.by ({training.split.by}), the shares and duplicates"
            )


def _require_labels(splits: Mapping[SplitName, Sequence[PairRow]], report: Counter[str]) -> None:
    counts = {name: Counter(row.label for row in splits[name]) for name in SPLITS}
    report["labels"] = len(counts["train"])
    if len(counts["train"]) < 2:
        raise SpecError(
            f"train.labels: {len(counts['train'])} label in train ({_some(sorted(counts['train']))}); "
            "at least 2 are needed"
        )
    for name in ("validation", "test"):
        if max(counts[name].values()) < 2:
            raise SpecError(
                f"train.labels: no label stands twice in {name}, so no text there could be found by another's"
            )
        report[f"unseen_label_{name}"] = sum(n for label, n in counts[name].items() if label not in counts["train"])
    if max(counts["train"].values()) < 2:
        raise SpecError("train.labels: every label stands once in train, so there is nothing alike to learn from")


def _plain(text: str) -> str:
    return _SPACE.sub(" ", text)


def _hash(seed: int, text: str) -> str:
    return hashlib.sha256(f"{seed}:{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _some(groups: Sequence[str]) -> str:
    return ", ".join(groups[:8]) + (f", … {len(groups)} in all" if len(groups) > 8 else "")
