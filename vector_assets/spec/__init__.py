"""What a user declares: frozen pydantic models, one file per noun. YAML and Python are the same model."""

from vector_assets.spec.any_space import Space
from vector_assets.spec.augment import Augment
from vector_assets.spec.automation import Automation
from vector_assets.spec.base import Spec
from vector_assets.spec.chunking import Chunking
from vector_assets.spec.collection import Collection
from vector_assets.spec.curve import Curve, Start
from vector_assets.spec.drift import Drift
from vector_assets.spec.evaluation import Calibration, Evaluation
from vector_assets.spec.export import Export, ExportFormat
from vector_assets.spec.field import IMAGE_BYTES, POSTGRES_TYPES, FieldType
from vector_assets.spec.head import HEADED, LABELLED, UNLABELLED, ClassHead
from vector_assets.spec.image import ImagePooling, ImageSpace
from vector_assets.spec.index import Index
from vector_assets.spec.labels import Clicks, FieldPairs, LabelsFile, Relevance, Split
from vector_assets.spec.learning import Negatives, Pretraining
from vector_assets.spec.lexical import Lexical
from vector_assets.spec.losses import LOSS_SETTINGS, MARGINS, SCALES
from vector_assets.spec.scores import ClassificationTask, ClusteringTask, RetrievalTask, Scores, StsTask, Task
from vector_assets.spec.search import SEARCHED, Layer, Search
from vector_assets.spec.searching import Rerank, Searching, Svm
from vector_assets.spec.source import FileSource, PostgresSource, PythonCodeSource, QueueSource, Source, SqlSource
from vector_assets.spec.space import TextSpace
from vector_assets.spec.training import Training

__all__ = [
    "HEADED",
    "IMAGE_BYTES",
    "LABELLED",
    "LOSS_SETTINGS",
    "MARGINS",
    "POSTGRES_TYPES",
    "SCALES",
    "SEARCHED",
    "UNLABELLED",
    "Augment",
    "Automation",
    "Calibration",
    "Chunking",
    "ClassHead",
    "ClassificationTask",
    "Clicks",
    "ClusteringTask",
    "Collection",
    "Curve",
    "Drift",
    "Evaluation",
    "Export",
    "ExportFormat",
    "FieldPairs",
    "FieldType",
    "FileSource",
    "ImagePooling",
    "ImageSpace",
    "Index",
    "LabelsFile",
    "Layer",
    "Lexical",
    "Negatives",
    "PostgresSource",
    "Pretraining",
    "PythonCodeSource",
    "QueueSource",
    "Relevance",
    "Rerank",
    "RetrievalTask",
    "Scores",
    "Search",
    "Searching",
    "Source",
    "Space",
    "Spec",
    "Split",
    "SqlSource",
    "Start",
    "StsTask",
    "Svm",
    "Task",
    "TextSpace",
    "Training",
]
