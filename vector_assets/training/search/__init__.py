"""Searches: trials of other settings, chosen by validation. Importing this package imports neither torch nor optuna."""

from vector_assets.training.search.run import OpenTrial, search, search_folder
from vector_assets.training.search.trials import clear

__all__ = ["OpenTrial", "clear", "search", "search_folder"]
