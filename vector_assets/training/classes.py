"""What a classification got right and wrong, label by label. The numbers are scikit-learn's."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from vector_assets.training.scoring import Classified


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One label: its texts, how many were taken for it, and the three numbers; 0 where nothing can be divided by."""

    label: str
    texts: int
    said: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many texts of one label were taken for another; ``share`` is of the texts of the first."""

    label: str
    taken_for: str
    texts: int
    share: float


def class_scores(classified: Classified) -> list[ClassScore]:
    """Return every label that occurs, said or true, the lowest F1 first."""
    from sklearn.metrics import precision_recall_fscore_support

    labels = sorted({*classified.truth, *classified.said})
    said = Counter(classified.said)
    precision, recall, f1, texts = precision_recall_fscore_support(
        classified.truth, classified.said, labels=labels, zero_division=0
    )
    found = [
        ClassScore(label, int(texts[n]), said[label], float(precision[n]), float(recall[n]), float(f1[n]))
        for n, label in enumerate(labels)
    ]
    return sorted(found, key=lambda one: (one.f1, one.label))


def confusions(classified: Classified) -> list[Confusion]:
    """Return all pairs of labels that were taken for each other, the most frequent first."""
    texts = Counter(classified.truth)
    pairs = Counter((a, b) for a, b in zip(classified.truth, classified.said, strict=True) if a != b)
    ordered = sorted(pairs.items(), key=lambda one: (-one[1], one[0]))
    return [Confusion(a, b, count, count / texts[a]) for (a, b), count in ordered]


def write_csv(rows: Sequence[ClassScore] | Sequence[Confusion], kind: type, path: Path) -> Path:
    """Write rows of one kind with a header, which is there even where there is no row."""
    with path.open("w", newline="", encoding="utf-8") as file:
        written = csv.DictWriter(file, [field.name for field in fields(kind)])
        written.writeheader()
        for row in rows:
            values = asdict(row)
            written.writerow({name: round(v, 4) if isinstance(v, float) else v for name, v in values.items()})
    return path
