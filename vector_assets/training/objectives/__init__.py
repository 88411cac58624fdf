"""Objectives by name. A new one is one file and one line here."""

from vector_assets.training.objectives.base import Objective
from vector_assets.training.objectives.contrastive import Contrastive

OBJECTIVES: dict[str, type[Objective]] = {"contrastive": Contrastive}

__all__ = ["OBJECTIVES", "Contrastive", "Objective"]
