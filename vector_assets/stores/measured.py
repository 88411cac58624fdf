"""What was measured of a generation, as it is remembered with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from vector_assets.index.integrity import Checked, CheckName
from vector_assets.index.quality import Quality, check_quality
from vector_assets.records import Comparison, Decision, Generation
from vector_assets.spec import Evaluation
from vector_assets.stores.collection import CollectionStore


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a generation. ``now`` says whether it was measured in this run."""

    generation: Generation
    decision: Decision
    checks: tuple[Checked, ...]
    quality: Quality
    values: Mapping[str, object]
    version: str
    now: bool

    @property
    def sound(self) -> bool:
        """No blocking check failed."""
        return all(check.passed for check in self.checks)


def read_measured(store: CollectionStore, generation: Generation, *, now: bool) -> Measured:
    """Return what is remembered of a generation."""
    generations = store.workspace.generations
    generation = generations.get(generation.collection, generation.number)
    values = generations.measures(generation)
    checks = tuple(
        Checked(
            cast(CheckName, name),
            bool(check["passed"]),
            str(check["summary"]),
            cast(dict[str, float], check["numbers"]),
        )
        for name, check in cast(dict[str, dict[str, object]], values["checks"]).items()
    )
    declared = store.collection.evaluation or Evaluation()
    quality = check_quality(
        store.metric, score_of(store, values), floor=declared.floor, before=cast(float | None, values.get("before")),
        drift=declared.drift,
    )  # fmt: skip
    decision = _decision(generations.decided(generation))
    if generation.state == "live":
        decision = Decision("keep", "live is up to date; there is no candidate to decide on", decision.comparison)
    version = f"{generation.number}-{str(values['content']).split()[0]}"
    return Measured(generation, decision, checks, quality, values, version, now)


def is_sound(values: Mapping[str, object]) -> bool:
    """Tell whether every blocking check passed; what failed is looked at again, since libraries can be put back."""
    return all(check["passed"] for check in cast(Mapping[str, dict[str, object]], values.get("checks", {})).values())


def score_of(store: CollectionStore, values: Mapping[str, object]) -> float | None:
    """Return the score by the metric of the collection; None where no question was asked."""
    return cast(Mapping[str, float], values.get("evaluation") or {}).get(store.metric)


def _decision(recorded: Mapping[str, object]) -> Decision:
    if not recorded:
        return Decision("keep", "nothing was decided yet")
    comparison = cast(dict[str, float] | None, recorded.get("comparison"))
    return Decision(
        recorded["decision"],  # type: ignore[arg-type]
        str(recorded["reason"]),
        Comparison(**comparison) if comparison else None,  # type: ignore[arg-type]
    )
