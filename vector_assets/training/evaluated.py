"""A training set that was drawn before, without what asks the questions that a generation is judged by. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from vector_assets.records import Pair, SplitName, TrainingSet
from vector_assets.spec import Training
from vector_assets.training.duplicates import asking
from vector_assets.training.enough import SPLITS, require_labels, require_pairs
from vector_assets.training.pairs import pairs_digest


def without_evaluated(training_set: TrainingSet, questions: Sequence[str], training: Training) -> TrainingSet:
    """Return the set without what asks the questions or nearly does; the very same where nothing of it does.

    So another evaluation file changes a kept training set only where the two meet, and draws no row anew. What stands
    in test stays: nothing is learned from it, and it chooses nothing. Raises SpecError where too little is left.
    """
    asked = asking(training_set.pairs, questions, training)
    gone = Counter(pair.split for pair, one in zip(training_set.pairs, asked, strict=True) if one)
    del gone["test"]
    if not gone:
        return training_set
    kept = [pair for pair, one in zip(training_set.pairs, asked, strict=True) if not one or pair.split == "test"]
    report: dict[str, float] = {**training_set.report}
    report["evaluated"] = report.get("evaluated", 0) + gone.total()
    report |= {name: report.get(name, 0) - count for name, count in gone.items()}
    splits: dict[SplitName, list[Pair]] = {name: [pair for pair in kept if pair.split == name] for name in SPLITS}
    left_out = {name: count for name, count in report.items() if name not in (*SPLITS, "unlabelled", "labels")}
    require_pairs(splits, training, left_out)
    if training.labels is not None:
        labels: Counter[str] = Counter()
        require_labels(splits, labels)
        report |= labels
    scale = sum(pair.weight for pair in splits["train"]) / len(splits["train"])
    if scale != 1:  # the mean weight in train is 1
        kept = [
            replace(pair, weight=max(1e-6, round(pair.weight / scale, 6))) if pair.split in SPLITS else pair
            for pair in kept
        ]
    return TrainingSet(pairs_digest(kept), tuple(kept), report)
