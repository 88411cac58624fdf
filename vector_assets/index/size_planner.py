"""What an index will weigh and need, from rows and dimensions alone: computed from pgvector's own page layout.

HNSW keeps two tuples a row, an element (72 bytes and the vector) and its neighbours (6 bytes each, 2 m of them at the
lowest level), on one page where both fit; ivfflat one tuple. See src/hnsw.h, hnswbuild.c and ivfflat.h of pgvector 0.8.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from vector_assets.embedding.fitting import fit
from vector_assets.records import IndexType, Precision
from vector_assets.runtime.machine import machine
from vector_assets.spec import Index

# pgvector's own defaults, the setting that its users tune last: recall is reached by ef_search first.
M, EF_CONSTRUCTION = 16, 64
# For what those do not reach.
LARGE_M, LARGE_EF_CONSTRUCTION = 32, 128
_PAGE, _PAGE_ROOM = 8192, 8192 - 24 - 8
_MIB = 2**20
_FEWER = "dims: with train: {objective: pca} on a text space learns fewer"


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """What is stored, what is indexed, what both weigh, and why, in a sentence."""

    vector_type: Literal["vector", "halfvec"]
    index_type: IndexType
    precision: Precision
    table_bytes: int
    index_bytes: int
    memory_mb: int  # of the build
    lists: int  # of ivfflat, else 0
    said: str


def plan_index(index: Index, *, rows: int, dims: int, where: str) -> IndexPlan:
    """Choose how vectors are stored and indexed. Raises UserError where the declared index cannot hold them."""
    fitted = fit(index, dims, where=where)
    stored = vector_bytes(dims, "half" if fitted.vector_type == "halfvec" else "float32")
    size = index_bytes(index.type, fitted.precision, rows=rows, dims=dims)
    memory = index_memory_mb(rows, dims, precision=fitted.precision, index_type=index.type)
    lists = lists_of(rows, dims, fitted.precision) if index.type == "ivfflat" else 0
    table = table_bytes(rows, stored)
    return IndexPlan(
        fitted.vector_type, index.type, fitted.precision, table, size, memory, lists,
        _sentence(index, fitted.precision, rows=rows, dims=dims, table=table, size=size, memory=memory, lists=lists),
    )  # fmt: skip


def _sentence(
    index: Index, precision: Precision, *, rows: int, dims: int, table: int, size: int, memory: int, lists: int
) -> str:
    why = "as declared"
    if index.precision is None:
        why = {
            "float32": "which float32 holds",
            "half": f"too many for float32 (2,000), so halves; {_FEWER}",
            "binary": f"too many for halves (4,000), so bits, ranked again by the stored vectors; {_FEWER}",
        }[precision]
    if index.type == "exact":
        kind = "no index: every vector is compared"
    else:
        made = f", {lists} lists" if lists else ""
        kind = f"{index.type} of {precision}{made}: {size / _MIB:,.0f} MiB, built with {memory:,} MiB"
    return f"{rows:,} vectors of {dims:,} dimensions ({why}), {table / _MIB:,.0f} MiB; {kind}"


def vector_bytes(dims: int, precision: Precision) -> int:
    """Bytes of one vector as pgvector stores it."""
    return {"float32": 8 + 4 * dims, "half": 8 + 2 * dims, "binary": 8 + math.ceil(dims / 8)}[precision]


def table_bytes(rows: int, vector: int) -> int:
    """Bytes of a generation's vectors with what stands beside them; wide ones are stored apart, in pieces of 1,996."""
    row = 28 + 12 + 33 + 8 + 8 + 65 + 1 + 8  # header, key and chunk_no, digest, offsets, present, stamp, truncated
    if row + vector <= 2032:
        return _pages(rows, _aligned(row + vector) + 4)
    pieces = math.ceil(vector / 1996)
    return _pages(rows, row + 22) + _pages(rows * pieces, min(vector, 1996) + 40)


def index_bytes(index_type: IndexType, precision: Precision, *, rows: int, dims: int, m: int = M) -> int:
    """Bytes of the index over so many rows."""
    vector = vector_bytes(dims, precision)
    if index_type == "exact":
        return 0
    if index_type == "ivfflat":
        return _pages(rows, _aligned(8 + vector) + 4)
    element, neighbours = _aligned(72 + vector) + 4, _aligned(4 + 6 * 2 * m) + 4
    if element + neighbours <= _PAGE_ROOM:
        return _pages(rows, element + neighbours)
    # The neighbours open a page, which takes as many more of them as come before the next element does not fit.
    return 2 * _PAGE * rows


def index_memory_mb(
    rows: int, dims: int, *, precision: Precision = "float32", index_type: IndexType = "hnsw", m: int = M
) -> int:
    """Memory that a build should have, in MiB: all of the graph, or the sample that lists are found from.

    Below it a graph goes on disk and takes twice as long. Capped at a quarter of the machine.
    """
    most = machine().memory // 2**22
    if index_type == "exact":
        return 64
    if index_type == "ivfflat":
        return max(64, min(_lists_memory(lists_of(rows, dims, precision), dims, precision) // _MIB + 16, most))
    node = vector_bytes(dims, precision) + 2 * m * 16 + 128
    return max(64, min(int(rows * node * 1.2 / _MIB) + 64, most))


def lists_of(rows: int, dims: int, precision: Precision) -> int:
    """Lists of ivfflat, by pgvector's advice: rows / 1000 up to a million, then the root; fewer where memory ends."""
    lists = max(1, rows // 1000 if rows <= 1_000_000 else math.isqrt(rows))
    while lists > 1 and _lists_memory(lists, dims, precision) > machine().memory // 4 - 16 * _MIB:
        lists = lists * 3 // 4
    return min(lists, 32768)


def _lists_memory(lists: int, dims: int, precision: Precision) -> int:
    """What k-means needs in pgvector (ivfkmeans.c): 50 samples a list, and bounds between samples and centres."""
    samples = max(50 * lists, 10_000)
    vector = vector_bytes(dims, precision)
    return vector * (samples + 2 * lists) + 4 * lists * dims + 4 * samples * lists + 4 * lists * lists + 16 * samples


def widths(index_type: IndexType, precision: Precision, *, lists: int) -> tuple[int, ...]:
    """How widely the index is searched, from narrow to wide; recall is measured at them in turn. None without one."""
    if index_type == "exact":
        return ()
    if index_type == "ivfflat":
        shares = (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 90, 135, 200, 300, 450, 700, 1000, 1500, 2200, 3300, 5000)
        return (*(width for width in shares if width < lists), lists)
    return EF_SEARCH


#: From pgvector's default up to its limit.
EF_SEARCH = (40, 60, 80, 120, 160, 200, 300, 400, 600, 800, 1000)


def _pages(rows: int, tuple_bytes: int) -> int:
    each = max(1, _PAGE_ROOM // tuple_bytes)
    return math.ceil(rows / each) * _PAGE


def _aligned(size: int) -> int:
    return (size + 7) // 8 * 8
