"""Learning curves: how much of the training set is enough, and what pretrained weights are worth."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vector_assets.spec.base import Spec
from vector_assets.spec.search import Rate

#: What training starts from: the encoder's own weights, or freshly drawn ones.
Start = Literal["pretrained", "scratch"]


def _rise(rows: list[int]) -> list[int]:
    if sorted(set(rows)) != rows:
        raise ValueError("must rise, each number once")
    return rows


def _once(starts: list[Start]) -> list[Start]:
    if len(set(starts)) < len(starts):
        raise ValueError("must name each start once")
    return starts


class Curve(Spec):
    """A learning curve: the same training on growing parts of the training set, each part inside the next.

    An asset of its own, learning_curve/COLLECTION/SPACE, run by hand or by materialize --stage learning_curve; no
    schedule or condition runs it. Its trainings are measured and not kept.
    """

    rows: Annotated[list[Annotated[int, Field(ge=4)]], AfterValidator(_rise)] = Field(
        default=[10, 30, 100, 300, 1000],
        min_length=2,
        max_length=20,
        description="How many pairs, labelled texts or texts to learn from, rising. Beyond what the training set has, "
        "all of it is the last point. Of labels each comes once before any comes again in proportion.",
    )
    starts: Annotated[list[Start], AfterValidator(_once)] = Field(
        default=["pretrained", "scratch"],
        min_length=1,
        description="pretrained: the space's encoder, trainable as declared. scratch: the same architecture with "
        "freshly drawn weights, all of which learn.",
    )
    learning_rates: dict[Start, Rate] = Field(
        default={},
        description="By start, where one of them needs another rate than learning_rate, such as {scratch: 0.0005}: "
        "fresh weights take some ten times as much.",
    )
    layers: int | None = Field(
        default=None,
        ge=1,
        description="Of the network from scratch, at most those of the encoder; as many as it where left out.",
    )
    draws: int = Field(
        default=1, ge=1, le=20, description="How often everything is drawn and learned anew, each by its own seed."
    )
