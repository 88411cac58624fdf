"""The head: the weights per label that some objectives learn beside the encoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vector_assets.spec.base import Spec

#: Objectives that learn from texts with a label, and from texts alone; the others learn from pairs.
LABELLED = ("triplet", "classification", "arcface")
UNLABELLED = ("dropout_pairs", "denoising", "distillation", "pca")

#: Those that learn a weight vector per label.
HEADED = ("classification", "arcface")


class ClassHead(Spec):
    """The weights per label that classification and arcface learn with. With many labels they outgrow the encoder."""

    processes: int = Field(
        default=1,
        ge=1,
        le=64,
        description="Over this many processes of this machine the labels are split evenly, each with its share of "
        "weights, gradients and the optimiser's moments; scores and gradients are those of one process. 1: in the "
        "training process itself.",
    )
    sample: float = Field(
        default=1.0,
        gt=0,
        le=1,
        description="Share of the labels that a step compares with: those of its batch, and others drawn anew each "
        "step (Partial FC). The rest is neither read nor changed by the step. Of several processes each draws from "
        "its own labels.",
    )
    start: Literal["fitted", "means", "random"] = Field(
        default="fitted",
        description="fitted: a logistic regression on the untrained vectors, of which arcface takes the directions. "
        "means, for arcface: the labels' mean vectors, which cost next to nothing with thousands of labels. random: "
        "normal with deviation 0.01, for more labels than can be fitted.",
    )
