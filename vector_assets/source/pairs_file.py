"""Training pairs from a JSONL file: a query and the document that answers it, with an optional group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from vector_assets.source.jsonl import read_objects


@dataclass(frozen=True, slots=True)
class FilePair:
    """One pair as it stands in the file. ``group`` is None where the file names none."""

    query: str
    document: str
    group: str | None
    where: str


def read_pairs(url: str) -> Iterator[FilePair]:
    """Stream the pairs in the order of the file. Raises SourceError naming the first line that is no pair."""
    with closing(read_objects(url)) as lines:
        for line in lines:
            query, document = line.text("query"), line.text("document")
            yield FilePair(query=query, document=document, group=line.optional_text("group"), where=line.where)
