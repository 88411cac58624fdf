"""Training: what an encoder learns from, and how long."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vector_assets.spec.base import ColumnName, Share, Spec
from vector_assets.spec.search import SEARCHED, Search, Trainable

#: Objectives that learn from texts with a label; the others learn from pairs.
LABELLED = ("triplet", "classification", "arcface")


class FieldPairs(Spec):
    """Pairs made of the collection's own rows: one field asks, the space's fields answer."""

    query: ColumnName = Field(description="The field whose text asks for the row; rows where it is empty make no pair.")
    min_words: int = Field(default=3, ge=1, description="Shorter queries make no pair.")


class LabelsFile(Spec):
    """Labels that stand beside the rows, in a file of their own."""

    file: str = Field(description="JSONL with id and label, plain or .gz; rows that it does not name have no label.")


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

    objective: Literal["contrastive", "triplet", "classification", "arcface"] = Field(
        default="contrastive",
        description="contrastive learns from pairs, with the other answers of a batch as wrong ones (InfoNCE). The "
        "others learn from labels: triplet (semi-hard, margin 0.2), classification (softmax, starting from a logistic "
        "regression on the untrained vectors), arcface (margin 0.5, scale 64).",
    )
    pairs: FieldPairs | str | None = Field(
        default=None,
        description="For contrastive: fields of the rows, or a JSONL file of query, document and optional group.",
    )
    labels: ColumnName | LabelsFile | None = Field(
        default=None,
        description="For the other objectives: the field that says what a row is, or a file. Rows without a label are "
        "left out, and so are texts that have two.",
    )
    split: Split = Split()
    trainable: Trainable = Field(
        default="last_2",
        description="last_<k> layers, all of the encoder, lora (low-rank additions to every layer, stored merged), "
        "head: the classification alone, on vectors that stay as they are; mix: the weights of layer: mix alone; "
        "none: nothing, for a search among layers as they are.",
    )
    lora_rank: int = Field(default=8, ge=1, le=256, description="Width of what lora adds to each matrix.")
    learning_rate: float = Field(default=5e-5, gt=0, lt=1, description="The highest step of the optimiser.")
    learn_tokens: int | None = Field(
        default=None, ge=8, description="Longer texts are cut here while learning, for speed; what is served is not."
    )
    batch_size: int = Field(default=64, ge=2, le=4096, description="Pairs a step; the other answers are the negatives.")
    evaluations_per_epoch: int = Field(default=2, ge=1, le=100)
    patience: int = Field(default=2, ge=1, description="Evaluations without improvement before it stops.")
    max_epochs: int = Field(default=10, ge=1, le=1000)
    max_pairs: int | None = Field(
        default=None, ge=2, description="Learn from at most this many pairs or labelled texts, drawn by seed."
    )
    max_validation: int = Field(default=500, ge=2, description="At most this many of them in validation, scored often.")
    max_test: int = Field(default=1500, ge=2, description="At most this many of them in test, scored once.")
    max_gap: Share = Field(
        default=0.2,
        description="Warn of too little data when training adds more than this to how much better what was learned "
        "scores than validation (accuracy: when it is this much better).",
    )
    search: Search | None = Field(
        default=None,
        description="Try other settings as well; the best by validation is kept, and scored once on test.",
    )
    seed: int = Field(default=0, ge=0, description="Draws the split and the order; the same seed, the same run.")

    @model_validator(mode="after")
    def _learns_from_what_it_can(self) -> Training:
        needed, other = ("labels", "pairs") if self.objective in LABELLED else ("pairs", "labels")
        if getattr(self, other) is not None:
            raise ValueError(f"{other}: {self.objective} learns from {needed}; leave {other} out")
        if getattr(self, needed) is None:
            kinds = {
                "pairs": "a mapping with query, or the name of a file",
                "labels": "a field, or a mapping with file",
            }
            raise ValueError(f"{needed}: is missing; {self.objective} learns from {needed}; expected {kinds[needed]}")
        if self.trainable == "head" and self.objective != "classification":
            raise ValueError(f"trainable: {self.objective} has no head to learn alone; expected all, last_<k> or lora")
        if self.objective == "triplet" and self.batch_size < 4:
            raise ValueError(f"batch_size: found {self.batch_size}; a triplet needs two labels twice, so at least 4")
        return self

    @model_validator(mode="before")
    @classmethod
    def _layers_alone_need_no_learning(cls, declared: object) -> object:
        """A search among layers and nothing else tries them as they are, unless something is declared to learn."""
        if not isinstance(declared, dict) or "trainable" in declared or not declared.get("search"):
            return declared
        search = declared["search"]
        given = search.model_dump(exclude_none=True) if isinstance(search, Search) else search
        named = set(given) if isinstance(given, dict) else set()
        if "layer" in named and not named & set(SEARCHED) - {"layer"}:
            return {**declared, "trainable": "none"}
        return declared

    @model_validator(mode="after")
    def _search_fits(self) -> Training:
        if self.trainable == "none" and not (self.search and self.search.layer):
            raise ValueError("trainable: none learns nothing; expected search: with layer beside it, or no train")
        if self.search and self.objective != "classification" and "head" in (self.search.trainable or ()):
            raise ValueError(f"search.trainable: {self.objective} has no head to learn alone; leave head out")
        if self.search and self.objective == "triplet" and min(self.search.batch_size or (4,)) < 4:
            raise ValueError("search.batch_size: a triplet needs two labels twice, so at least 4")
        return self

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
