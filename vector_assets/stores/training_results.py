"""What came of a training: what a space uses next, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from vector_assets.encoder.intact import require_intact
from vector_assets.records import Checkpoint, Comparison
from vector_assets.spec import Training
from vector_assets.stores.checkpoints import Registered
from vector_assets.stores.workspace import Workspace
from vector_assets.training.arms import Trained

#: How a metric of the first dims is called, before their number.
_AT = "_dims_"
_VARIANCE = "explained_variance"


@dataclass(frozen=True, slots=True)
class Settled:
    """The checkpoint that a space uses next. ``comparison`` is tuned against base on test pairs, when trained."""

    checkpoint: Checkpoint
    trained_now: bool
    comparison: Comparison | None
    result: Mapping[str, object]
    registered: Registered
    pictures: Mapping[str, Path] = field(default_factory=dict)
    tables: Mapping[str, Path] = field(default_factory=dict)
    warning: str | None = None

    @property
    def searched(self) -> Mapping[str, Any] | None:
        """What a search tried and chose, a training.searched.Searched as a mapping."""
        return cast(Mapping[str, Any] | None, self.result.get("search"))

    @property
    def accuracy(self) -> Comparison | None:
        """The head against the logistic regression on the base's vectors, of a classification."""
        found = self.result.get("accuracy")
        return Comparison(**cast(dict[str, Any], found)) if found else None

    @property
    def prefixes(self) -> list[dict[str, float]]:
        """Of Matryoshka training, the metric of retrieval on test at each width, the widest first."""
        tuned, base = (cast(dict[str, float], self.result.get(name) or {}) for name in ("test", "base_test"))
        cut = {int(width): metric for metric, at, width in (name.partition(_AT) for name in tuned) if at}
        names = {width: f"{metric}{_AT}{width}" for width, metric in cut.items()}
        whole = {int(str(self.checkpoint.contract["dims"])): metric for metric in cut.values()}
        named = {**whole, **names}
        return [{"dims": width, "base": base[named[width]], "tuned": tuned[named[width]]} for width in
                sorted(named, reverse=True)]  # fmt: skip

    @property
    def taught(self) -> dict[str, float]:
        """Of a distillation, how near the student came to its teacher on test, and how much faster it is."""
        ratio = self.result.get("speed_ratio")
        if not ratio:
            return {}
        tuned = cast(dict[str, float], self.result["test"])
        return {"teacher_cosine": tuned["teacher_cosine"], "speed_ratio": float(str(ratio))}

    @property
    def reduced(self) -> dict[str, float]:
        """Of a reduction, the variance that it keeps, on the texts that it was learned from."""
        tuned, base = (cast(dict[str, float], self.result.get(name) or {}) for name in ("test", "base_test"))
        if _VARIANCE not in tuned:
            return {}
        return {_VARIANCE: tuned[_VARIANCE], f"base_{_VARIANCE}": base[_VARIANCE]}


def known_training(workspace: Workspace, key: str) -> tuple[Checkpoint, Mapping[str, object]] | None:
    """Return what a key gave, when its files are still there."""
    known = workspace.checkpoints.training(key)
    if known is None:
        return None
    checkpoint = workspace.checkpoints.get(known[0])
    if not checkpoint.folder.is_dir():
        return None
    require_intact(checkpoint)
    return checkpoint, known[1]


def result_of(trained: Trained) -> dict[str, object]:
    """Return what is kept of a training beside its checkpoint."""
    return {
        "comparison": asdict(trained.comparison),
        "accuracy": asdict(trained.classified) if trained.classified else None,
        "test": dict(trained.test),
        "base_test": dict(trained.base_test),
        "validation": dict(trained.validation),
        "base_validation": dict(trained.base_validation),
        "chosen_by": trained.history.metric,
        "gap": trained.history.gap,
        "resumed_at": trained.history.resumed_at,
        "seconds": trained.history.seconds,
        "steps": len(trained.history.steps),
        "best_step": trained.history.best_step,
        "improved": trained.improved,
        "report": [str(path) for path in trained.report],
        "head": str(trained.head) if trained.head else None,
        "speed_ratio": trained.speed_ratio,
        "search": asdict(trained.searched) if trained.searched else None,
    }


def warning_of(result: Mapping[str, object], training: Training) -> str | None:
    """Say that training has learned its examples rather than what they have in common; None when it has not."""
    gap = float(str(result.get("gap", 0.0)))
    if gap <= training.max_gap:
        return None
    return (
        f"too little data: by {result['chosen_by']}, what was learned from came {gap:.3f} further than validation, "
        f"more than max_gap {training.max_gap}; expected more examples, or fewer layers that learn"
    )


def reported(result: Mapping[str, object], suffix: str) -> dict[str, Path]:
    """Return the files of a report that have this suffix, by their names without it."""
    paths = [Path(str(path)) for path in cast(list[str], result.get("report", []))]
    return {path.stem: path for path in paths if path.suffix == suffix and path.is_file()}
