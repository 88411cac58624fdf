"""What a user declares: frozen pydantic models, one file per noun. YAML and Python are the same model."""

from vector_assets.spec.automation import Automation
from vector_assets.spec.base import Spec
from vector_assets.spec.collection import Collection
from vector_assets.spec.evaluation import Evaluation
from vector_assets.spec.export import Export, ExportFormat
from vector_assets.spec.field import POSTGRES_TYPES, FieldType
from vector_assets.spec.index import Index
from vector_assets.spec.search import SEARCHED, Layer, Search
from vector_assets.spec.source import FileSource, PostgresSource, PythonCodeSource, QueueSource, Source, SqlSource
from vector_assets.spec.space import Chunking, Space, TextSpace
from vector_assets.spec.training import LABELLED, FieldPairs, LabelsFile, Split, Training

__all__ = [
    "LABELLED",
    "POSTGRES_TYPES",
    "SEARCHED",
    "Automation",
    "Chunking",
    "Collection",
    "Evaluation",
    "Export",
    "ExportFormat",
    "FieldPairs",
    "FieldType",
    "FileSource",
    "Index",
    "LabelsFile",
    "Layer",
    "PostgresSource",
    "PythonCodeSource",
    "QueueSource",
    "Search",
    "Source",
    "Space",
    "Spec",
    "Split",
    "SqlSource",
    "TextSpace",
    "Training",
]
