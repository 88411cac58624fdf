"""Objectives by name. A new one is one file and one line here."""

from collections.abc import Callable

from vector_assets.spec import Training
from vector_assets.training.heads import Head
from vector_assets.training.objectives.arcface import ArcFace
from vector_assets.training.objectives.base import Classes, Objective, Seen, TextObjective
from vector_assets.training.objectives.classification import Classification
from vector_assets.training.objectives.contrastive import Contrastive
from vector_assets.training.objectives.denoising import Denoising
from vector_assets.training.objectives.distillation import Distillation
from vector_assets.training.objectives.dropout_pairs import DropoutPairs
from vector_assets.training.objectives.matryoshka import Matryoshka
from vector_assets.training.objectives.triplet import Triplet

OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "arcface": ArcFace,
    "classification": Classification,
    "contrastive": Contrastive,
    "triplet": Triplet,
}


def make_objective(training: Training) -> Objective:
    """Return the declared objective; one with a head gets what is declared of it."""
    if training.objective == "arcface":
        return ArcFace(training.head, seed=training.seed)
    if training.objective == "classification":
        return Classification(training.head, seed=training.seed)
    return OBJECTIVES[training.objective]()


__all__ = [
    "OBJECTIVES",
    "ArcFace",
    "Classes",
    "Classification",
    "Contrastive",
    "Denoising",
    "Distillation",
    "DropoutPairs",
    "Head",
    "Matryoshka",
    "Objective",
    "Seen",
    "TextObjective",
    "Triplet",
    "make_objective",
]
