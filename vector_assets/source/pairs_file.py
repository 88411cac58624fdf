"""Training pairs and labels from JSONL files: a query with its answer and optional group; a row's id with its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from vector_assets.errors import SourceError
from vector_assets.records import KeyColumn
from vector_assets.source.jsonl import read_objects
from vector_assets.source.keys import parse_key, row_key


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


def read_labels(url: str, key: Sequence[KeyColumn]) -> dict[str, str]:
    """Return the label of each row that a JSONL file of ``id`` and ``label`` names, by JSON row key.

    ``id`` is written as people write it (keys.parse_key). Raises SourceError for a row that is given two labels.
    """
    labels: dict[str, str] = {}
    with closing(read_objects(url)) as lines:
        for line in lines:
            row, label = row_key(parse_key(line.text("id", "_id"), key, line.where)), line.text("label")
            if labels.setdefault(row, label) != label:
                raise SourceError(
                    f"{line.where}: row {row} is labelled {label!r} and {labels[row]!r}; expected one label"
                )
    return labels
