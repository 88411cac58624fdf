"""What a vector is made of: the parts in declared order, and the digest that says what it means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vector_assets.embedding.fitting import fit
from vector_assets.records import ChunkRule, Generation, IndexType, Part, Precision
from vector_assets.source.spacy_sentences import spacy_pipeline
from vector_assets.spec import Chunking, Collection, Space


@dataclass(frozen=True, slots=True)
class Layout:
    """Parts of the vector with its width, storage type and meaning."""

    parts: tuple[Part, ...]
    dims: int
    vector_type: Literal["vector", "halfvec"]
    checkpoint_set: str
    index_type: IndexType = "hnsw"
    precision: Precision = "float32"

    def describes(self, generation: Generation, collection: Collection) -> bool:
        """Tell whether a generation holds just these vectors, indexed so, with the columns declared beside them."""
        return (
            generation.checkpoint_set == self.checkpoint_set
            and generation.filters == tuple(collection.filters)
            and generation.metric == collection.index.metric
            and (generation.vector_type, generation.index_type, generation.precision)
            == (self.vector_type, self.index_type, self.precision)
        )


@dataclass(frozen=True, slots=True)
class SpaceEncoder:
    """What the layout needs to know of a space's checkpoint."""

    digest: str
    dims: int


def plan_layout(collection: Collection, encoders: Mapping[str, SpaceEncoder]) -> Layout:
    """Lay the spaces' parts side by side, in declared order.

    The digest covers each space's name, fields, width, checkpoint and, where it is cut into chunks, how: another
    checkpoint, field, order or size is another meaning, hence another generation. So is another index, of the same
    meaning. How chunks make a row's score is neither: it is asked of the same vectors. Raises UserError for dimensions
    that the declared index cannot hold.
    """
    parts: list[Part] = []
    offset = 0
    for name, space in collection.spaces.items():
        encoder = encoders[name]
        fields = tuple(space.fields)
        rule = chunk_rule(space)
        parts.append(
            Part(name, offset, encoder.dims, encoder.digest, fields, rule, space.kind, space.chunk.best if rule else 1)
        )
        offset += encoder.dims
    fitted = fit(collection.index, offset, where=f"collection {collection.name}")
    # A space without chunks is written as it was before there were any: its generations stay what they are.
    meaning = [
        [part.space, part.dims, part.checkpoint, list(part.fields), *([part.chunk.meaning()] if part.chunk else [])]
        for part in parts
    ]
    digest = hashlib.sha256(json.dumps(meaning, ensure_ascii=False).encode()).hexdigest()
    return Layout(tuple(parts), offset, fitted.vector_type, digest, collection.index.type, fitted.precision)


def chunk_rule(space: Space) -> ChunkRule | None:
    """How a space cuts its texts, with what was left out filled in; None where it does not."""
    return rule_of(space.chunk)


def rule_of(chunk: Chunking) -> ChunkRule | None:
    """The rule of a declared chunking; None where a text is one piece. Raises SpecError where its splitter is missing.

    That is said here, before a row is read, for it is the fault of none.
    """
    if chunk.by == "none":
        return None
    rule = ChunkRule(
        chunk.by, chunk.limit, chunk.overlap, chunk.window, chunk.step, chunk.language or "python",
        chunk.splitter or "rules",
    )  # fmt: skip
    if rule.splitter == "spacy":
        spacy_pipeline(rule.language)
    return rule
