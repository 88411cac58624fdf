"""What a vector is made of: the parts in declared order, and the digest that says what it means."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from vector_assets.errors import UserError
from vector_assets.records import ChunkRule, Generation, Part
from vector_assets.spec import Chunking, Collection, Space

# What pgvector can index as one column.
VECTOR_DIMS = 2000
HALFVEC_DIMS = 4000


@dataclass(frozen=True, slots=True)
class Layout:
    """Parts of the vector with its width, storage type and meaning."""

    parts: tuple[Part, ...]
    dims: int
    vector_type: Literal["vector", "halfvec"]
    checkpoint_set: str

    def describes(self, generation: Generation, collection: Collection) -> bool:
        """Tell whether a generation holds just these vectors, with the columns that are declared beside them."""
        return (
            generation.checkpoint_set == self.checkpoint_set
            and generation.filters == tuple(collection.filters)
            and generation.metric == collection.index.metric
        )


@dataclass(frozen=True, slots=True)
class SpaceEncoder:
    """What the layout needs to know of a space's checkpoint."""

    digest: str
    dims: int


def plan_layout(collection: Collection, encoders: Mapping[str, SpaceEncoder]) -> Layout:
    """Lay the spaces' parts side by side, in declared order.

    The digest covers each space's name, fields, width, checkpoint and, where it is cut into chunks, how: another
    checkpoint, field, order or size is another meaning, hence another generation. How chunks make a row's score is
    none: it is asked of the same vectors. Raises UserError beyond 4,000 dimensions.
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
    if offset > HALFVEC_DIMS:
        raise UserError(
            f"collection {collection.name}: its spaces make {offset} dimensions; expected {HALFVEC_DIMS} at most, "
            "which is what pgvector indexes: use a narrower encoder or fewer spaces"
        )
    # A space without chunks is written as it was before there were any: its generations stay what they are.
    meaning = [
        [part.space, part.dims, part.checkpoint, list(part.fields), *([part.chunk.meaning()] if part.chunk else [])]
        for part in parts
    ]
    digest = hashlib.sha256(json.dumps(meaning, ensure_ascii=False).encode()).hexdigest()
    return Layout(tuple(parts), offset, "vector" if offset <= VECTOR_DIMS else "halfvec", digest)


def chunk_rule(space: Space) -> ChunkRule | None:
    """How a space cuts its texts, with what was left out filled in; None where it does not."""
    return rule_of(space.chunk)


def rule_of(chunk: Chunking) -> ChunkRule | None:
    """The rule of a declared chunking; None where a text is one piece."""
    if chunk.by == "none":
        return None
    return ChunkRule(chunk.by, chunk.limit, chunk.overlap, chunk.window, chunk.step, chunk.language or "python")
