"""What a vector of some width is stored as, and which index can hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vector_assets.errors import UserError
from vector_assets.records import Precision
from vector_assets.spec import Index

# What pgvector can index, by what stands in the index, and what it can store.
INDEXED: dict[Precision, int] = {"float32": 2000, "half": 4000, "binary": 64000}
STORED = 16000


@dataclass(frozen=True, slots=True)
class Fitted:
    """The type of the column and the precision of what is indexed."""

    vector_type: Literal["vector", "halfvec"]
    precision: Precision


def fit(index: Index, dims: int, *, where: str) -> Fitted:
    """Choose the widest precision that holds ``dims``, or check the declared one. Raises UserError, naming both."""
    if dims > STORED:
        raise UserError(
            f"{where}: its spaces make {dims} dimensions; expected {STORED} at most, which is what pgvector stores: "
            "use a narrower encoder, dims: on a text space, or fewer spaces"
        )
    if index.type == "exact":
        chosen = index.precision or "float32"
    elif index.precision is None:
        chosen = next(precision for precision, limit in INDEXED.items() if dims <= limit)
        if chosen == "binary" and index.type == "ivfflat":
            raise UserError(_too_wide(where, dims, "ivfflat", "half", "type: hnsw with precision: binary"))
    else:
        chosen = index.precision
        if dims > INDEXED[chosen]:
            wider = [name for name, limit in INDEXED.items() if dims <= limit and (name, index.type) != _NO_BITS]
            told = " or ".join(f"precision: {name}" for name in wider) or "type: hnsw with precision: binary"
            raise UserError(_too_wide(where, dims, index.type, chosen, told))
    return Fitted("halfvec" if chosen == "half" else "vector", chosen)


_NO_BITS = ("binary", "ivfflat")


def _too_wide(where: str, dims: int, kind: str, precision: Precision, expected: str) -> str:
    return (
        f"{where}: its spaces make {dims} dimensions, and an index of type {kind} and precision {precision} holds "
        f"{INDEXED[precision]}; expected {expected}, or dims: on a text space"
    )
