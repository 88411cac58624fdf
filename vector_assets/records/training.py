"""Pairs, training sets, and where training writes what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

#: Unlabelled texts belong to no pair: they are learned from before the pairs are.
SplitName = Literal["train", "validation", "test", "unlabelled"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A query and the document that answers it. ``key`` is the JSON row key of the answer, "" when it is no row.

    A labelled text is one as well: its query is empty, and ``label`` says what it is. ``negatives`` are documents that
    are known not to answer; ``weight`` is what the pair counts beside others, whose mean in train is 1.
    """

    query: str
    document: str
    group: str
    split: SplitName
    key: str = ""
    label: str = ""
    negatives: tuple[str, ...] = ()
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A snapshot of pairs with its splits. ``digest`` is over the pairs; ``report`` counts what was left out.

    Of images a document is the sha256 of one, and ``images`` is a folder that has them, by that name.

    Of clicks it has what each position came to as well: ``position_03_propensity``.
    """

    digest: str
    pairs: tuple[Pair, ...]
    report: Mapping[str, float]
    images: Path | None = None

    def split(self, name: SplitName) -> tuple[Pair, ...]:
        """The pairs of one split, in stored order."""
        return tuple(pair for pair in self.pairs if pair.split == name)


class RunLog(Protocol):
    """Where training writes what it does; stores/mlflow_runs.py implements it."""

    def params(self, values: Mapping[str, str | int | float | bool]) -> None:
        """Log parameters once."""
        ...

    def metrics(self, values: Mapping[str, float], *, step: int) -> None:
        """Log numbers of one step."""
        ...

    def artifact(self, path: Path, *, folder: str = "") -> None:
        """Keep a file with the run."""
        ...

    def tags(self, values: Mapping[str, str]) -> None:
        """Label the run."""
        ...
