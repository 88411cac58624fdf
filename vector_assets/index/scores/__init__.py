"""Scores of an encoder on the four usual types of task, by the protocols of MTEB, in the shape of its result files."""

from vector_assets.index.scores.classification import classification_scores
from vector_assets.index.scores.clustering import clustering_scores
from vector_assets.index.scores.reading import Reading
from vector_assets.index.scores.result import as_result, main_score, numbers_of
from vector_assets.index.scores.retrieval import retrieval_scores
from vector_assets.index.scores.sts import sts_scores
from vector_assets.index.scores.tasks import Classification, Clustering, Retrieval, Sts, TaskData

__all__ = [
    "Classification",
    "Clustering",
    "Reading",
    "Retrieval",
    "Sts",
    "TaskData",
    "as_result",
    "classification_scores",
    "clustering_scores",
    "main_score",
    "numbers_of",
    "retrieval_scores",
    "sts_scores",
]
