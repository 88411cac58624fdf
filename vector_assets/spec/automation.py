"""Automation: what starts work without a person."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from vector_assets.spec.base import Spec


def _is_cron(value: str) -> str:
    parts = value.split()
    if len(parts) != 5 or not all(set(part) <= set("0123456789*/,-LSUNMOTEWDHFRIA#") for part in parts):
        raise ValueError("must be a cron line of five parts such as 0 3 * * 0 (minute hour day month weekday)")
    return value


Cron = Annotated[str, AfterValidator(_is_cron)]


class Automation(Spec):
    """What starts by itself while the daemon runs: unless declared, nothing but the daily maintenance."""

    on_change: bool = Field(
        default=False, description="A sensor re-reads the source when it changed; the rest follows."
    )
    every: int = Field(default=60, ge=10, description="Seconds between two looks at the source.")
    retrain: Cron | None = Field(
        default=None, description="When the training set is drawn anew and the encoder retrained."
    )
    maintenance: Cron | None = Field(
        default="0 4 * * *",
        description="When all rows are compared with their vectors, dead tuples removed, recall and integrity measured "
        "again, a worn index built anew, generations beyond the kept ones dropped and the map redrawn; null: never.",
    )
