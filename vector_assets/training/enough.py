"""Whether a training set has enough in each split to learn from and to judge by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from vector_assets.errors import SpecError
from vector_assets.records import SplitName
from vector_assets.spec import Training
from vector_assets.training.texts import some

SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


class Labelled(Protocol):
    """A row with a label, "" where it has none."""

    @property
    def label(self) -> str:
        """What the row is."""
        ...


def require_pairs(
    splits: Mapping[SplitName, Sequence[Labelled]], training: Training, report: Mapping[str, float]
) -> None:
    """Raise SpecError where a split has fewer than two pairs, with the reasons why rows were left out."""
    for name in SPLITS:
        if len(splits[name]) < 2:
            counts = {reason: count for reason, count in report.items() if not reason.startswith(("rows", "position_"))}
            left_out = ", ".join(f"{reason} {count}" for reason, count in counts.items() if count)
            if name != "test" and report.get("evaluated"):
                raise SpecError(
                    f"train: {len(splits[name])} pairs in {name}, at least 2 are needed: {report['evaluated']:g} ask "
                    "what evaluation: or scores: ask, which no training may see; expected other questions, such as "
                    f"those of a train set (of {report.get('rows', 0):g} rows left out: {left_out})"
                )
            raise SpecError(
                f"train.split: {len(splits[name])} pairs in {name}, at least 2 are needed; "
                f"of {report.get('rows', 0)} rows left out: {left_out or 'none'}; "
                f"check split.by ({training.split.by_time or training.split.by}), the shares, duplicates and documents"
            )


def require_labels(splits: Mapping[SplitName, Sequence[Labelled]], report: Counter[str]) -> None:
    """Raise SpecError where labels leave nothing to learn or to judge by; count held-out labels that train lacks."""
    counts = {name: Counter(row.label for row in splits[name]) for name in SPLITS}
    report["labels"] = len(counts["train"])
    if len(counts["train"]) < 2:
        raise SpecError(
            f"train.labels: {len(counts['train'])} label in train ({some(sorted(counts['train']))}); "
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
