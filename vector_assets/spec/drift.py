"""Drift: how far rows and questions may move away from what the encoder was trained, or first used, on."""

from __future__ import annotations

from pydantic import Field

from vector_assets.spec.base import Spec
from vector_assets.spec.freshness import Duration


class Drift(Spec):
    """Two checks of the index: can a classifier tell rows, and questions, of today from those of the training?

    They warn, and never block what is searched. A new encoder whose own training rows are beyond the bound is not
    promoted by itself: it waits for `promote --because`. That holds where `drift` is left out as well, by samples of
    500. See docs/drift.md.
    """

    corpus: float = Field(
        default=0.75,
        gt=0.5,
        lt=1,
        description="Rows have drifted when held-out AUC is above this, its whole 95 % interval; 0.5 is chance.",
    )
    queries: float = Field(default=0.75, gt=0.5, lt=1, description="The same for questions.")
    withhold: bool = Field(
        default=True,
        description="A candidate whose training rows are beyond corpus from the rows that it is to serve waits for "
        "`promote --because`; false leaves it to the comparison with live alone.",
    )
    recent: str | None = Field(
        default=None,
        description="JSONL with text, the newest last: questions asked lately; else what evaluation.shadow keeps.",
    )
    sample: int = Field(default=2000, ge=100, le=10_000, description="At most this many vectors of each side.")
    every: Duration = Field(
        default="1h", description="Measured at most this often; in between the last measurement is told again."
    )
    retrain: bool = Field(
        default=False,
        description="Draw the training set anew and train when a check trips; needs automation.on_change and train.",
    )
    cooldown: Duration = Field(default="7d", description="At least so long between two such requests.")
