"""Judgements as JSONL: a line may say which passage of the row answers, by its text or by its place in the row's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

from vector_assets.errors import SourceError
from vector_assets.records import JudgedPassage, KeyColumn
from vector_assets.source.jsonl import JsonLine, read_objects
from vector_assets.source.keys import parse_key, row_key
from vector_assets.source.values import found


@dataclass(frozen=True, slots=True)
class Judgement:
    """One line: a query, a row (as it is ``named``, and its key), its score, and perhaps the passage; ``where``."""

    where: str
    query: str
    named: str
    document: str
    score: float
    passage: JudgedPassage | None = None


def is_jsonl(url: str) -> bool:
    """Tell whether judgements stand in JSON lines, by the name of their file."""
    return url.removesuffix(".gz").endswith(".jsonl")


def read_judgements(url: str, key: Sequence[KeyColumn]) -> Iterator[Judgement]:
    """Yield the lines of a file: query-id, corpus-id, score (1 when left out), and passage, or start and stop."""
    with closing(read_objects(url)) as lines:
        for line in lines:
            query, row = line.text("query-id", "query_id"), line.text("corpus-id", "corpus_id")
            score = line.values.get("score", 1)
            if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) < float("inf"):
                raise SourceError(f"{line.where}: score is {found(score)}; expected a number")
            document = row_key(parse_key(row, key, line.where))
            yield Judgement(line.where, query, row, document, float(score), _passage(line))


def _passage(line: JsonLine) -> JudgedPassage | None:
    text, start, stop = line.optional_text("passage"), line.values.get("start"), line.values.get("stop")
    if start is None and stop is None:
        if text is not None and not text.strip():
            raise SourceError(f"{line.where}: passage is empty; expected text, or no such key")
        return JudgedPassage(text) if text is not None else None
    if text is not None:
        raise SourceError(f"{line.where}: passage stands beside start and stop; expected one or the other")
    if not (type(start) is int and type(stop) is int and 0 <= start < stop):
        raise SourceError(
            f"{line.where}: start is {start!r} and stop {stop!r}; expected whole numbers, 0 or more, start below stop"
        )
    return JudgedPassage(span=(start, stop))
