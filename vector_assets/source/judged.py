"""Questions with known answers, in the BEIR layout: queries as JSONL, judgements as TSV, or as JSONL with passages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from vector_assets.errors import SourceError
from vector_assets.records import JudgedPassage, JudgedQuery, KeyColumn
from vector_assets.source.jsonl import read_objects
from vector_assets.source.judged_passages import Judgement, is_jsonl, read_judgements
from vector_assets.source.keys import parse_key, row_key
from vector_assets.source.storable import storable
from vector_assets.source.storage import SourceFile, find_files, open_bytes

_TEXT_KEY = (KeyColumn(name="id", type="text"),)
_EXPECTED = "expected query-id, corpus-id and score, separated by tabs"


def read_judged(queries: str, qrels: str, key: Sequence[KeyColumn] = _TEXT_KEY) -> list[JudgedQuery]:
    """Return the queries that have at least one judgement above 0, in the order of their file.

    ``key`` are the columns of the collection's key: a bigint key makes ``[4983]`` of corpus-id 4983, text ``["4983"]``.
    """
    graded = read_graded(queries, qrels, key)
    judged = [replace(one, relevant={row: grade for row, grade in one.relevant.items() if grade > 0}) for one in graded]
    judged = [one for one in judged if one.relevant]
    if not judged:
        raise SourceError(f"{qrels}: no query has a judgement above 0; expected at least one")
    return judged


def read_graded(queries: str, qrels: str, key: Sequence[KeyColumn] = _TEXT_KEY) -> list[JudgedQuery]:
    """Return the queries that have judgements, in the order of their file, with those of 0 and below among them."""
    asked = _read_queries(queries)
    texts = {query: text for query, (text, _) in asked.items()}
    judgements, passages = _read(qrels, key)
    unknown = next((query for query in judgements if query not in texts), None)
    if unknown is not None:
        raise SourceError(f"{qrels}: query-id {unknown!r} is not in {queries}; expected judgements of its queries only")
    return [
        JudgedQuery(
            id=query, text=text, relevant=judgements[query], slice=asked[query][1],
            passages={row: tuple(each) for row, each in passages.get(query, {}).items() if judgements[query][row] > 0},
        )
        for query, text in texts.items()
        if query in judgements
    ]  # fmt: skip


def read_queries(url: str) -> dict[str, str]:
    """Return the text of each query by its id: JSONL with ``_id`` (or ``id``) and ``text``."""
    return {query: text for query, (text, _) in _read_queries(url).items()}


def _read_queries(url: str) -> dict[str, tuple[str, str]]:
    """Return text and slice of each query; most files have no ``slice``."""
    found: dict[str, tuple[str, str]] = {}
    with closing(read_objects(url)) as lines:
        for line in lines:
            query = line.text("_id", "id")
            if query in found:
                raise SourceError(f"{line.where}: query {query!r} stands twice; expected each id once")
            found[query] = line.text("text"), line.optional_text("slice") or ""
    return found


def read_qrels(url: str, key: Sequence[KeyColumn] = _TEXT_KEY) -> dict[str, dict[str, float]]:
    """Return the judgements above 0 by query id and row key; a query without any is there, empty."""
    grades = read_grades(url, key)
    return {query: {row: grade for row, grade in of.items() if grade > 0} for query, of in grades.items()}


def read_grades(url: str, key: Sequence[KeyColumn] = _TEXT_KEY) -> dict[str, dict[str, float]]:
    """Return all judgements by query id and row key.

    A line is query-id, corpus-id and score, or the four columns of TREC.
    A first line whose score is no number is a header. A file of JSON lines has these as keys.
    """
    return _read(url, key)[0]


def _read(
    url: str, key: Sequence[KeyColumn]
) -> tuple[dict[str, dict[str, float]], dict[str, dict[str, list[JudgedPassage]]]]:
    """Return scores and passages, by query id and row key."""
    grades: dict[str, dict[str, float]] = {}
    passages: dict[str, dict[str, list[JudgedPassage]]] = {}
    for one in read_judgements(url, key) if is_jsonl(url) else _lines(url, key):
        if grades.setdefault(one.query, {}).setdefault(one.document, one.score) != one.score:
            raise SourceError(
                f"{one.where}: {one.query} and {one.named} were judged before with another score; expected one"
            )
        if one.passage:
            passages.setdefault(one.query, {}).setdefault(one.document, []).append(one.passage)
    return grades, passages


def _lines(url: str, key: Sequence[KeyColumn]) -> Iterator[Judgement]:
    for file in find_files(url):
        for number, cells in _cells(file):
            where = f"{file.name}:{number}"
            score = _score(cells[-1])
            if score is not None:
                yield Judgement(where, cells[0], cells[-2], row_key(parse_key(cells[-2], key, where)), score)
            elif number != 1:
                raise SourceError(f"{where}: score is {cells[-1]!r}; expected a number")


def _cells(file: SourceFile) -> list[tuple[int, list[str]]]:
    lines = []
    with open_bytes(file) as stream:
        try:
            text = stream.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise SourceError(f"{file.name}: not UTF-8 at byte {error.start}; {_EXPECTED}") from error
    for number, line in enumerate(storable(text).split("\n"), start=1):
        if line.strip():
            cells = line.rstrip("\r").split("\t") if "\t" in line else line.split()
            if len(cells) not in (3, 4):
                raise SourceError(f"{file.name}:{number}: found {len(cells)} columns; {_EXPECTED}")
            lines.append((number, cells))
    return lines


def _score(cell: str) -> float | None:
    try:
        score = float(cell)
    except ValueError:
        return None
    return score if abs(score) < float("inf") else None
