"""Training set -> checkpoint: pairs, objectives, the loop, its report. Importing this package imports no torch."""

from vector_assets.training.arms import Trained
from vector_assets.training.history import History, Progress, Step
from vector_assets.training.key import CODE_VERSION, training_key
from vector_assets.training.pair_rows import PairRow
from vector_assets.training.pairs import pairs_digest, pairs_from_rows
from vector_assets.training.reduction import reduce_dims
from vector_assets.training.run import resume_of, store_base, train
from vector_assets.training.watch import Evaluated

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
    "reduce_dims",
    "resume_of",
    "store_base",
    "train",
    "training_key",
]
