"""Rows that need work become vectors: read ahead, encode, write behind.

While one half of a page is encoded, the half before it is written and the next page is read, on connections of their
own: no transaction is open across a model call, and a kill loses at most one page's worth of encoding.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from vector_assets.embedding.drafts import Draft, draft_groups, encode_group, is_large
from vector_assets.embedding.encoding import Backoff, Coder
from vector_assets.records import EmbeddedRow, EmbedReport, Encoder, Generation, PendingRow

Progress = Callable[[int, int], None]


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
    chunks_encoded: int = 0
    chunks_reused: int = 0
    unparsed: int = 0


def embed(
    target: SyncTarget,
    generation: Generation,
    encoders: Callable[[], Mapping[str, Encoder]],
    *,
    progress: Progress | None = None,
    backoff: Backoff | None = None,
) -> EmbedReport:
    """Make a generation equal to its source. ``encoders`` is called only when a row has to be encoded."""
    started = time.perf_counter()
    coder = Coder(encoders, backoff or Backoff())
    counts = _Counts()
    removed = target.remove_gone()
    with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "write") as writer:
        pages = target.pages()
        coming: Future[list[PendingRow] | None] = reader.submit(next, pages, None)
        written: Future[int] | None = None
        while (page := coming.result()) is not None:
            coming = reader.submit(next, pages, None)
            for group in draft_groups(page, generation, coder.token_spans(generation)):
                if written and is_large(group):  # one long document in memory is enough
                    counts.stored += written.result()
                    written = None
                rows = encode_group(group, generation, coder)
                if written:
                    counts.stored += written.result()
                written = writer.submit(target.write, rows)
                _count(counts, group, rows)
                del group, rows
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
        chunks_encoded=counts.chunks_encoded,
        chunks_reused=counts.chunks_reused,
        unparsed=counts.unparsed,
    )


def _count(counts: _Counts, group: Sequence[Draft], rows: Sequence[EmbeddedRow]) -> None:
    for draft, row in zip(group, rows, strict=True):
        done = row.state == "done"
        counts.seen += 1
        counts.failed += row.state == "failed"
        counts.empty += row.state == "empty"
        counts.encoded += done and draft.encoded
        counts.reused += done and not draft.encoded
        counts.chunks_encoded += draft.fresh if done else 0
        counts.chunks_reused += len(row.chunks) - draft.fresh if done else 0
        counts.unparsed += done and not draft.parsed
        counts.truncated += any(chunk.truncated for chunk in row.chunks)
