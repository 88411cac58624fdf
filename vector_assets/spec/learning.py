"""Learning beyond a loss over pairs or labels: mined negatives, unlabelled texts first."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vector_assets.spec.base import Spec


class Negatives(Spec):
    """Hard negatives of each pair: rows and other train documents that the live generation takes for its answer."""

    mined: int = Field(ge=1, le=50, description="How many for each pair, at most.")
    skip: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="The best so many candidates of a query are left out: they may be right.",
    )
    margin: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="A candidate whose score is not lower than the answer's by this share of it is left out: it may "
        "be another right answer (0.05 is the 95 % of NV-Retriever's TopK-PercPos).",
    )


class Pretraining(Spec):
    """Self-supervised learning before the objective: from texts or images alone, never from held-out ones."""

    objective: Literal["dropout_pairs", "denoising", "views"] = Field(
        description="dropout_pairs: a text, read twice with dropout on, finds itself among others (unsupervised "
        "SimCSE). denoising: a decoder rebuilds the text from the vector of what is left after 60 % of its tokens are "
        "deleted (TSDAE); for encoders that transformers can run as a decoder with cross-attention, such as BERT. "
        "views, of images: an image that augment: has moved finds itself, moved otherwise, among others (SimCLR)."
    )
    texts: int = Field(
        default=20_000,
        ge=2,
        description="At most this many: rows outside of the pairs, and the train documents; of images as many.",
    )
    epochs: int = Field(default=1, ge=1, le=100, description="Times that each is read; there is no patience here.")
    batch_size: int = Field(default=64, ge=2, le=4096, description="Texts or images a step.")
    learning_rate: float = Field(default=3e-5, gt=0, lt=1, description="The highest step of the optimiser.")
