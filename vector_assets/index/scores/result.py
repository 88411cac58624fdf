"""The shape of MTEB's result files, so that what reads those reads these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SPLIT = "test"

Result = Mapping[str, Any]


def as_result(
    task: str, revision: str, scores: Mapping[str, object], *, languages: Sequence[str], seconds: float
) -> dict[str, object]:
    """Return one task's result. ``revision`` is the digest of its data; MTEB itself computed nothing here."""
    entry = {**scores, "hf_subset": "default", "languages": list(languages)}
    return {
        "dataset_revision": revision,
        "task_name": task,
        "mteb_version": None,
        "scores": {SPLIT: [entry]},
        "evaluation_time": round(seconds, 3),
        "kg_co2_emissions": None,
    }


def main_score(result: Result) -> float:
    """Return the number that a task is compared by."""
    return float(result["scores"][SPLIT][0]["main_score"])


def numbers_of(result: Result) -> dict[str, float]:
    """Return all numbers of a result but those of single draws, and what it took."""
    entry = result["scores"][SPLIT][0]
    found = {name: float(value) for name, value in entry.items() if isinstance(value, int | float)}
    return {**found, "evaluation_time": float(result["evaluation_time"])}
