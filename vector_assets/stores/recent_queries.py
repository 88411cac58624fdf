"""Where questions that people asked lately are read from."""

from __future__ import annotations

from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from vector_assets.source.jsonl import read_objects


class RecentQueries(Protocol):
    """Where questions that people asked lately are kept."""

    def recent_queries(self, collection: str, n: int) -> list[str]:
        """Return the texts of at most ``n`` questions, the newest of those kept, blank ones left out."""
        ...


@dataclass(frozen=True, slots=True)
class FileQueries:
    """Recent questions in a JSONL file of ``text`` (or ``query``), the newest last."""

    url: str

    def recent_queries(self, collection: str, n: int) -> list[str]:
        """Return the last ``n`` of the file; raises SourceError naming the line that is none."""
        with closing(read_objects(self.url)) as lines:
            texts = deque((text for line in lines if (text := line.text("text", "query")).strip()), maxlen=n)
        return list(texts)
