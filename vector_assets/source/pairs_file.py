"""Training pairs, triplets and labels from JSONL files: a query with its answer; a row's id with its label."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from vector_assets.errors import SourceError
from vector_assets.records import KeyColumn
from vector_assets.source.jsonl import JsonLine, read_objects
from vector_assets.source.keys import parse_key, row_key
from vector_assets.source.storable import is_storable
from vector_assets.source.values import WrongValue, convert, found


@dataclass(frozen=True, slots=True)
class FilePair:
    """One pair as it stands in the file. ``group``, ``time`` and ``id`` are None where the file names none.

    ``id`` is the row that answers, as people write its key.
    """

    query: str
    document: str
    group: str | None
    where: str
    negatives: tuple[str, ...] = ()
    time: datetime | None = None
    id: str | None = None


def read_pairs(url: str, *, timed: bool = False) -> Iterator[FilePair]:
    """Stream the pairs in the order of the file. Raises SourceError naming the first line that is no pair.

    With ``timed`` a line without ``time`` is none.
    """
    with closing(read_objects(url)) as lines:
        for line in lines:
            query, document = line.text("query"), line.text("document")
            group, row = line.optional_text("group"), line.optional_text("id")
            yield FilePair(query, document, group, line.where, time=_time(line, timed=timed), id=row)


def read_triplets(url: str, *, timed: bool = False) -> Iterator[FilePair]:
    """Stream lines of query, positive and negative: one text, or a list of them (or ``negatives``).

    Raises SourceError naming the first line that is none.
    """
    with closing(read_objects(url)) as lines:
        for line in lines:
            query, positive, negatives = line.text("query"), line.text("positive"), _negatives(line)
            time = _time(line, timed=timed)
            group, row = line.optional_text("group"), line.optional_text("id")
            yield FilePair(query, positive, group, line.where, negatives, time, row)


def read_labels(url: str, key: Sequence[KeyColumn]) -> dict[str, str | None]:
    """Return the label of each row that a JSONL file of ``id`` and ``label`` names, by JSON row key.

    ``id`` is written as people write it (keys.parse_key). A row that is given two labels has None: what it is, nobody
    knows.
    """
    with closing(read_objects(url)) as lines:
        return collect_labels(((line.where, line.text("id", "_id"), line.text("label")) for line in lines), key)


def collect_labels(lines: Iterable[tuple[str, str, str]], key: Sequence[KeyColumn]) -> dict[str, str | None]:
    """Return the same of lines of place, id and label."""
    labels: dict[str, str | None] = {}
    for where, identity, label in lines:
        row = row_key(parse_key(identity, key, where))
        if labels.setdefault(row, label) != label:
            labels[row] = None
    return labels


def _negatives(line: JsonLine) -> tuple[str, ...]:
    name = "negative" if line.values.get("negative") is not None else "negatives"
    value = line.values.get(name)
    if value is None:
        raise SourceError(f"{line.where}: negative is missing; expected text, or a list of texts")
    texts: list[str] = []
    for one in value if isinstance(value, list) else [value]:
        if not isinstance(one, str):
            raise SourceError(f"{line.where}: {name} has {found(one)}; expected text, or a list of texts")
        if not is_storable(one):
            raise SourceError(f"{line.where}: {name} has a NUL character or half a surrogate pair")
        texts.append(one)
    if not any(map(str.strip, texts)):
        raise SourceError(f"{line.where}: {name} is empty; expected at least one text")
    return tuple(texts)


def _time(line: JsonLine, *, timed: bool) -> datetime | None:
    value = line.values.get("time")
    if value is None and timed:
        raise SourceError(f"{line.where}: time is missing; split.by_time needs one in every line")
    if not timed:
        return None
    try:
        time = convert(value, "datetime")
    except WrongValue as error:
        raise SourceError(f"{line.where}: time: {error}") from None
    assert isinstance(time, datetime)
    return time
