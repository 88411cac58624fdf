"""Training set -> checkpoint: pairs, objectives, the loop, its report. Importing this package imports no torch."""

from vector_assets.training.loop import Evaluated, History, Progress, Step
from vector_assets.training.pairs import PairRow, pairs_digest, pairs_from_rows
from vector_assets.training.run import CODE_VERSION, Trained, store_base, train, training_key

__all__ = [
    "CODE_VERSION",
    "Evaluated",
    "History",
    "PairRow",
    "Progress",
    "Step",
    "Trained",
    "pairs_digest",
    "pairs_from_rows",
    "store_base",
    "train",
    "training_key",
]
