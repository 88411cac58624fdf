"""Searches: other settings that training tries, and what is chosen among."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from vector_assets.spec.base import Spec

_TRAINABLE = re.compile(r"all|lora|head|mix|none|last_[1-9][0-9]?")

#: What a search may try; the names are those of the settings themselves.
SEARCHED = (
    "learning_rate",
    "batch_size",
    "trainable",
    "lora_rank",
    "patience",
    "max_epochs",
    "layer",
    "margin",
    "scale",
)


def _is_trainable(value: str) -> str:
    if not _TRAINABLE.fullmatch(value):
        raise ValueError("must be all, last_<k> such as last_2, lora, head, mix or none: what learns")
    return value


def _is_layer(value: int | Literal["mix"]) -> int | Literal["mix"]:
    if value == 0:
        raise ValueError("must be 1 or more (1 is the first layer), -1 or less (-1 is the last), or mix")
    return value


def _differ(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("must hold each value once")
    return values


Trainable = Annotated[str, AfterValidator(_is_trainable)]
Layer = Annotated[int | Literal["mix"], AfterValidator(_is_layer)]
Rate = Annotated[float, Field(gt=0, lt=1)]


class Search(Spec):
    """Trials of other settings, in MLflow below one parent. The declared ones are always trial 0."""

    trials: int = Field(
        default=12, ge=2, le=1000, description="At most so many, trial 0 included; fewer where there are fewer choices."
    )
    learning_rate: list[Rate] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="The lowest and the highest, drawn between them on a logarithmic scale.",
    )
    batch_size: Annotated[list[Annotated[int, Field(ge=2, le=4096)]], AfterValidator(_differ)] | None = Field(
        default=None, min_length=1, description="One of these."
    )
    trainable: Annotated[list[Trainable], AfterValidator(_differ)] | None = Field(
        default=None, min_length=1, description="One of these."
    )
    lora_rank: Annotated[list[Annotated[int, Field(ge=1, le=256)]], AfterValidator(_differ)] | None = Field(
        default=None, min_length=1, description="One of these."
    )
    patience: Annotated[list[Annotated[int, Field(ge=1)]], AfterValidator(_differ)] | None = Field(
        default=None, min_length=1, description="One of these."
    )
    max_epochs: Annotated[list[Annotated[int, Field(ge=1, le=1000)]], AfterValidator(_differ)] | None = Field(
        default=None, min_length=1, description="One of these."
    )
    layer: Annotated[list[Layer], AfterValidator(_differ)] | None = Field(
        default=None,
        min_length=1,
        description="One of these, as the space's layer. Alone, with no trainable declared, layers are compared as "
        "they are, and nothing learns.",
    )
    margin: Annotated[list[Annotated[float, Field(gt=0, lt=4)]], AfterValidator(_differ)] | None = Field(
        default=None, min_length=1, description="One of these; for triplet and arcface."
    )
    scale: Annotated[list[Annotated[float, Field(gt=0, le=1000)]], AfterValidator(_differ)] | None = Field(
        default=None, min_length=1, description="One of these; for contrastive and arcface."
    )
    minutes: float | None = Field(
        default=None,
        gt=0,
        description="No trial begins after so many minutes. What is tried then depends on the machine.",
    )
    pruner: Literal["median", "hyperband", "none"] = Field(
        default="median",
        description="Which trials end early: those below the median of the others at the same evaluation; those that "
        "hyperband drops (as many evaluations as training could have at most); none.",
    )

    @model_validator(mode="after")
    def _tries_something(self) -> Search:
        if all(getattr(self, name) is None for name in SEARCHED):
            raise ValueError(f"tries nothing; expected one or more of {', '.join(SEARCHED)}")
        if self.learning_rate and self.learning_rate[0] >= self.learning_rate[1]:
            low, high = self.learning_rate
            raise ValueError(f"learning_rate: found {low:g} to {high:g}; expected the lower one first")
        return self
