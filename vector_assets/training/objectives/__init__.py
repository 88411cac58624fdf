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
from vector_assets.training.objectives.views import Views

OBJECTIVES: dict[str, Callable[[Training], Objective]] = {
    "arcface": lambda of: ArcFace(
        of.head, seed=of.seed, margin=of.loss_setting("margin"), scale=of.loss_setting("scale")
    ),
    "classification": lambda of: Classification(of.head, seed=of.seed),
    "contrastive": lambda of: Contrastive(of.loss_setting("scale")),
    "triplet": lambda of: Triplet(of.loss_setting("margin")),
}


def make_objective(training: Training) -> Objective:
    """Return the declared objective with what is declared of it."""
    return OBJECTIVES[training.objective](training)


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
    "Views",
    "make_objective",
]
