"""Frozen records and Protocols that pass between stages. No stage owns them, so no stage imports another for them."""

from __future__ import annotations

from vector_assets.records.embedding import (
    Chunk,
    ChunkKind,
    ChunkRule,
    EmbeddedRow,
    EmbedReport,
    Generation,
    GenerationState,
    IndexType,
    OldChunk,
    Part,
    PendingRow,
    Precision,
    RowState,
)
from vector_assets.records.encoder import Canary, Checkpoint, Encoded, Encoder, Input, Inputs, Kind, Tokenizes, Vectors
from vector_assets.records.evaluation import Comparison, Decision, JudgedQuery
from vector_assets.records.source import (
    BadRow,
    ChangesReader,
    Key,
    KeyColumn,
    PartedReader,
    RawRow,
    SourcePart,
    SourceReader,
    Value,
)
from vector_assets.records.training import Pair, RunLog, SplitName, TrainingSet

__all__ = [
    "BadRow",
    "Canary",
    "ChangesReader",
    "Checkpoint",
    "Chunk",
    "ChunkKind",
    "ChunkRule",
    "Comparison",
    "Decision",
    "EmbedReport",
    "EmbeddedRow",
    "Encoded",
    "Encoder",
    "Generation",
    "GenerationState",
    "IndexType",
    "Input",
    "Inputs",
    "JudgedQuery",
    "Key",
    "KeyColumn",
    "Kind",
    "OldChunk",
    "Pair",
    "Part",
    "PartedReader",
    "PendingRow",
    "Precision",
    "RawRow",
    "RowState",
    "RunLog",
    "SourcePart",
    "SourceReader",
    "SplitName",
    "Tokenizes",
    "TrainingSet",
    "Value",
    "Vectors",
]
