"""Objectives by name. A new one is one file and one line here."""

from collections.abc import Callable

from vector_assets.training.objectives.arcface import ArcFace
from vector_assets.training.objectives.base import Classes, Objective, Seen
from vector_assets.training.objectives.classification import Classification
from vector_assets.training.objectives.contrastive import Contrastive
from vector_assets.training.objectives.head import Head
from vector_assets.training.objectives.triplet import Triplet

OBJECTIVES: dict[str, Callable[[], Objective]] = {
    "arcface": ArcFace,
    "classification": Classification,
    "contrastive": Contrastive,
    "triplet": Triplet,
}

__all__ = [
    "OBJECTIVES",
    "ArcFace",
    "Classes",
    "Classification",
    "Contrastive",
    "Head",
    "Objective",
    "Seen",
    "Triplet",
]
