"""Training: what an encoder learns from, and how long."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from vector_assets.spec.base import ColumnName, Share, Spec

_TRAINABLE = re.compile(r"all|last_[1-9][0-9]?")


def _is_trainable(value: str) -> str:
    if not _TRAINABLE.fullmatch(value):
        raise ValueError("must be all or last_<k>, such as last_2: which layers learn")
    return value


class FieldPairs(Spec):
    """Pairs made of the collection's own rows: one field asks, the space's fields answer."""

    query: ColumnName = Field(description="The field whose text asks for the row; rows where it is empty make no pair.")
    min_words: int = Field(default=3, ge=1, description="Shorter queries make no pair.")


class Split(Spec):
    """Which pairs are held out. Whole groups are, so that nothing of a group is both learned and asked."""

    by: ColumnName | None = Field(
        default=None, description="The field that groups rows; each row is its own group without it."
    )
    validation: list[str] | Share = Field(
        default=0.1, description="Names of groups, or a share: chooses the best weights."
    )
    test: list[str] | Share = Field(
        default=0.1, description="Names of groups, or a share: scored once, chooses nothing."
    )
    duplicates: Share = Field(
        default=0.8, description="Pairs this similar (cosine of word 3-grams) across a split are removed."
    )


class Training(Spec):
    """Fine-tuning until validation stops improving; the best weights are kept, not the last."""

    objective: Literal["contrastive"] = Field(default="contrastive", description="In-batch negatives (InfoNCE).")
    pairs: FieldPairs | str = Field(
        description="Fields of the rows, or a JSONL file of query, document and optional group."
    )
    split: Split = Split()
    trainable: Annotated[str, AfterValidator(_is_trainable)] = Field(
        default="last_2", description="all or last_<k> layers."
    )
    learning_rate: float = Field(default=5e-5, gt=0, lt=1, description="The highest step of the optimiser.")
    learn_tokens: int | None = Field(
        default=None, ge=8, description="Longer texts are cut here while learning, for speed; what is served is not."
    )
    batch_size: int = Field(default=64, ge=2, le=4096, description="Pairs a step; the other answers are the negatives.")
    evaluations_per_epoch: int = Field(default=2, ge=1, le=100)
    patience: int = Field(default=2, ge=1, description="Evaluations without improvement before it stops.")
    max_epochs: int = Field(default=10, ge=1, le=1000)
    max_pairs: int | None = Field(default=None, ge=2, description="Learn from at most this many pairs, drawn by seed.")
    max_validation: int = Field(default=500, ge=2, description="At most this many pairs in validation, scored often.")
    max_test: int = Field(default=1500, ge=2, description="At most this many pairs in test, scored once.")
    seed: int = Field(default=0, ge=0, description="Draws the split and the order; the same seed, the same run.")

    @model_validator(mode="after")
    def _splits_are_apart(self) -> Training:
        validation, test = self.split.validation, self.split.test
        if isinstance(validation, list) and isinstance(test, list) and set(validation) & set(test):
            raise ValueError(f"split: {sorted(set(validation) & set(test))} stand in validation and in test")
        if isinstance(validation, list) != isinstance(test, list):
            raise ValueError("split: validation and test must both be lists of groups, or both shares")
        if isinstance(validation, list) and self.split.by is None:
            raise ValueError("split: named groups need by: the field they are values of")
        return self
