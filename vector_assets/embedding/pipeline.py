"""Rows that need work become vectors: read ahead, encode, write behind.

While one page is encoded, the next is read and the last is written, on connections of their own: no transaction is
open across a model call, and a kill loses at most the pages in flight.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vector_assets.embedding.text import row_text
from vector_assets.records import (
    Chunk,
    EmbeddedRow,
    EmbedReport,
    Encoded,
    Encoder,
    Generation,
    Part,
    PendingRow,
    Vectors,
)

Progress = Callable[[int, int], None]
# What an encoder raises for an input it cannot take; anything else is a fault of ours and ends the run.
ROW_FAULTS = (ValueError, TypeError, RuntimeError, IndexError, OverflowError)
# A text that every encoder takes: tells a bad row from a broken encoder.
PROBE = "one plain sentence"


class SyncTarget(Protocol):
    """One generation being made equal to its source; stores/sync.py implements it."""

    @property
    def pending(self) -> int:
        """Rows that need work, as found when the sync began."""
        ...

    @property
    def unchanged(self) -> int:
        """Rows that the generation holds already."""
        ...

    def remove_gone(self) -> int:
        """Delete what left the source; return the rows."""
        ...

    def pages(self) -> Iterator[list[PendingRow]]:
        """Read the rows that need work, a page at a time."""
        ...

    def write(self, rows: Sequence[EmbeddedRow]) -> int:
        """Store a page in one statement, where the source still is what was encoded; return the rows stored."""
        ...


@dataclass(slots=True)
class _Counts:
    encoded: int = 0
    reused: int = 0
    empty: int = 0
    failed: int = 0
    truncated: int = 0
    stored: int = 0
    seen: int = 0


def embed(
    target: SyncTarget,
    generation: Generation,
    encoders: Callable[[], Mapping[str, Encoder]],
    *,
    progress: Progress | None = None,
) -> EmbedReport:
    """Make a generation equal to its source. ``encoders`` is called only when a row has to be encoded."""
    started = time.perf_counter()
    counts = _Counts()
    removed = target.remove_gone()
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        pages = target.pages()
        coming: Future[list[PendingRow] | None] = reader.submit(next, pages, None)
        written: Future[int] | None = None
        while (page := coming.result()) is not None:
            coming = reader.submit(next, pages, None)
            rows = encode_page(page, generation, encoders)
            if written:
                counts.stored += written.result()
            written = writer.submit(target.write, rows)
            _count(counts, rows)
            if progress:
                progress(counts.seen, target.pending)
        if written:
            counts.stored += written.result()
    return EmbedReport(
        generation=generation.number,
        rows=target.unchanged + counts.stored,
        encoded=counts.encoded,
        reused=counts.reused,
        unchanged=target.unchanged,
        removed=removed,
        empty=counts.empty,
        failed=counts.failed,
        truncated=counts.truncated,
        superseded=counts.seen - counts.stored,
        seconds=time.perf_counter() - started,
    )


def encode_page(
    page: Sequence[PendingRow], generation: Generation, encoders: Callable[[], Mapping[str, Encoder]]
) -> list[EmbeddedRow]:
    """Encode a page. A fault halves it down to the row that causes it; that row fails, the others do not.

    It is the row's fault only when the encoder still takes a plain text; else the error ends the run, and no row is
    blamed for a lost device.
    """
    loaded = encoders() if any(map(_needs_encoding, page)) else {}
    rows = _halve(page, generation, loaded)
    if any(row.state == "failed" for row in rows):
        for encoder in loaded.values():
            encoder.encode_documents([PROBE])
    return rows


def _needs_encoding(row: PendingRow) -> bool:
    return any(row.kept(part) is None and row_text(values) for part, values in enumerate(row.inputs))


def _halve(page: Sequence[PendingRow], generation: Generation, encoders: Mapping[str, Encoder]) -> list[EmbeddedRow]:
    try:
        return _encode(page, generation, encoders)
    except ROW_FAULTS as error:
        if len(page) == 1:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
            return [EmbeddedRow(page[0], "failed", error=reason)]
        middle = len(page) // 2
        return [*_halve(page[:middle], generation, encoders), *_halve(page[middle:], generation, encoders)]


def _encode(page: Sequence[PendingRow], generation: Generation, encoders: Mapping[str, Encoder]) -> list[EmbeddedRow]:
    texts = [[row_text(values) for values in row.inputs] for row in page]
    vectors = np.zeros((len(page), generation.dims), dtype=np.float32)
    present = np.zeros(len(page), dtype=np.int64)
    truncated = np.zeros(len(page), dtype=np.bool_)
    for number, part in enumerate(generation.parts):
        wanted = []
        for i, row in enumerate(page):
            kept = row.kept(number)
            if kept is not None:
                vectors[i, part.place] = kept / max(float(np.linalg.norm(kept)), 1e-12)
                present[i] |= 1 << number
                truncated[i] |= row.old[0].truncated
            elif texts[i][number]:
                wanted.append(i)
        if wanted:
            encoded = _encode_part([texts[i][number] for i in wanted], part, encoders[part.space])
            vectors[wanted, part.place] = encoded.vectors
            present[wanted] |= 1 << number
            truncated[wanted] |= encoded.truncated
    vectors = _unit(vectors)
    return [
        _row(row, "\n".join(texts[i]), vectors[i], int(present[i]), bool(truncated[i])) for i, row in enumerate(page)
    ]


def _encode_part(texts: Sequence[str], part: Part, encoder: Encoder) -> Encoded:
    encoded = encoder.encode_documents(texts)
    if encoded.vectors.shape != (len(texts), part.dims):
        raise AssertionError(
            f"space {part.space}: encoder gave {encoded.vectors.shape}, expected {(len(texts), part.dims)}"
        )
    norms = np.linalg.norm(encoded.vectors, axis=1)
    if not np.all(np.isfinite(norms)) or np.any(np.abs(norms - 1) > 1e-3):
        raise ValueError(f"space {part.space}: the vector is not finite and of length 1")
    return encoded


def _unit(vectors: Vectors) -> Vectors:
    """Scale rows to length 1, so that a row with fewer parts is not a shorter vector. Zero rows stay zero."""
    norms: NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(norms == 0, 1, norms)).astype(np.float32)


def _row(row: PendingRow, text: str, vector: NDArray[np.float32], present: int, truncated: bool) -> EmbeddedRow:
    if not present:
        return EmbeddedRow(row, "empty")
    digest = hashlib.sha256(text.encode()).digest()
    return EmbeddedRow(row, "done", (Chunk(0, digest, 0, len(text), vector, present, truncated),))


def _count(counts: _Counts, rows: Sequence[EmbeddedRow]) -> None:
    for row in rows:
        counts.seen += 1
        counts.failed += row.state == "failed"
        counts.empty += row.state == "empty"
        encoded = _needs_encoding(row.row)
        counts.reused += row.state == "done" and not encoded
        counts.encoded += row.state == "done" and encoded
        counts.truncated += any(chunk.truncated for chunk in row.chunks)
