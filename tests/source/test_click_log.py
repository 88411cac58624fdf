"""Logs of clicks from files: every format gives the same, and the first wrong line is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from vector_assets.errors import SourceError
from vector_assets.records import KeyColumn
from vector_assets.source.clicks import Impression, read_clicks

TEXT, WHOLE = [KeyColumn("id", "text")], [KeyColumn("id", "bigint")]
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
LINE = '{"query": "q", "shown": "7", "position": 1, "clicked": true}\n'


def _write(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_every_format_gives_the_same(tmp_path: Path) -> None:
    lines = (
        '{"query": "q", "shown": 7, "position": 2, "clicked": 1, "session": 5, "time": "2026-01-01T12:00:00"}\n\n'
        '{"query": 12, "shown": "8", "position": 1.0, "clicked": false, "time": "2026-01-01T13:00:00+01:00"}\n'
    )
    files = [
        _write(tmp_path, "log.jsonl", lines),
        _write(tmp_path, "a.csv", "time,shown,query,position,clicked,session\n2026-01-01 12:00,7,q,2,True,5\n"
                                  "2026-01-01T12:00Z,8,12,1,0,\n"),
        _write(tmp_path, "b.tsv", "clicked\tquery\tshown\tposition\ttime\n1\tq\t7\t2\t2026-01-01 12:00\n"
                                  "f\t12\t8\t1\t2026-01-01 12:00\n"),
    ]  # fmt: skip
    for file, session in zip(files, ("5", "5", ""), strict=True):
        assert list(read_clicks(file, WHOLE, timed=True)) == [
            Impression("q", "[7]", 2, True, session, NOON), Impression("12", "[8]", 1, False, "", NOON)
        ]  # fmt: skip
        assert next(iter(read_clicks(file, TEXT))) == Impression("q", '["7"]', 2, True, session, None)


HEAD = "query,shown,position,clicked\n"
WRONG = "expected a whole number from 1 to 10000"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", LINE + LINE.replace("true", "2"), ":2: clicked is the number 2; expected true, false, 1 or 0"),
        ("a.jsonl", LINE + LINE.replace(": 1", ": 0"), f":2: position is the number 0; {WRONG}"),
        ("a.jsonl", LINE + LINE.replace(": 1", ": 1.5"), f":2: position is the number 1.5; {WRONG}"),
        ("a.jsonl", LINE.replace('"q"', "null"), ":1: query is null; expected text"),
        ("a.jsonl", LINE.replace('"7"', '"x"'), ":1: key 'x'; id is bigint, expected a whole number"),
        (
            "a.jsonl",
            LINE.replace("true}", "true"),
            ":1: not JSON (Expecting ',' delimiter at character 60); expected a JSON object",
        ),
        ("a.csv", "query,shown,position\nq,7,1\n", ": has no column clicked; it has query, shown, position"),
        ("a.csv", HEAD + "q,7,1,1\nq,7,1\n", ":3: expected 4 cells, found 3"),
        ("a.csv", HEAD + "q,7,one,1\n", f":2: position is the text 'one'; {WRONG}"),
        ("a.csv", "", ": is empty; expected a header with the names of the columns"),
        (
            "a.log",
            "x",
            ": the ending does not tell the format; expected .jsonl, .csv, .tsv or .parquet (or with .gz)",
        ),
    ],
)
def test_the_first_wrong_line_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        list(read_clicks(_write(tmp_path, name, text), WHOLE))
    assert str(caught.value) == f"{tmp_path}/{name}{message}"


def test_times_are_needed_where_the_split_is_by_time(tmp_path: Path) -> None:
    for text, message in (
        (LINE, "time is missing; split.by_time needs one in every line"),
        (
            LINE.replace("true", 'true, "time": "noon"'),
            "time: expected an ISO 8601 date or time, found the text 'noon'",
        ),
    ):
        file = _write(tmp_path, "a.jsonl", text)
        assert len(list(read_clicks(file, WHOLE))) == 1
        with pytest.raises(SourceError) as caught:
            list(read_clicks(file, WHOLE, timed=True))
        assert str(caught.value) == f"{file}:1: {message}"
    file = _write(tmp_path, "a.csv", "query,shown,position,clicked\nq,7,1,1\n")
    with pytest.raises(SourceError, match=r"a.csv: has no column time; it has query, shown, position, clicked"):
        list(read_clicks(file, WHOLE, timed=True))
