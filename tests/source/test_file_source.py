"""Rows of files: every format gives the same rows, and what is wrong is named with file, line and column."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import fsspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from vector_assets.errors import SourceError
from vector_assets.records import BadRow, KeyColumn, RawRow
from vector_assets.source.open import open_source
from vector_assets.spec import Collection

FIELDS = {"title": "text", "year": "number", "day": "datetime", "topic": "category"}
ROWS: list[dict[str, str | float | None]] = [
    {"id": "a", "title": 'One, "two"\nthree', "year": 1.5, "day": "2026-01-31T10:00:00+00:00", "topic": "x"},
    {"id": "b", "title": "Zwölf", "year": None, "day": None, "topic": None},
]
DAY = datetime(2026, 1, 31, 10, tzinfo=UTC)
EXPECTED = [
    RawRow(key=("a",), values=('One, "two"\nthree', 1.5, DAY, "x")),
    RawRow(key=("b",), values=("Zwölf", None, None, None)),
]


def collection(path: str, folder: Path, fields: dict[str, str] | None = None, **options: object) -> Collection:
    fields = fields or {"title": "text"}
    source = {"kind": "file", "path": path, **options}
    spaces = {"text": {"fields": [next(iter(fields))]}}
    declared = {"name": "papers", "source": source, "fields": fields, "spaces": spaces}
    return Collection.model_validate(declared).at(folder)


def read(path: str, folder: Path, fields: dict[str, str] | None = None, **options: object) -> list[RawRow | BadRow]:
    return list(open_source(collection(path, folder, fields, **options)).rows())


def refused(path: str, folder: Path, fields: dict[str, str] | None = None, **options: object) -> str:
    with pytest.raises(SourceError) as caught:
        read(path, folder, fields, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}/", "")


def jsonl(folder: Path, *rows: object, name: str = "a.jsonl") -> str:
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    return name


def as_bytes(ending: str) -> bytes:
    if ending == "jsonl":
        return "\n".join(json.dumps(row) for row in ROWS).encode()
    if ending == "parquet":
        days = [{**row, "day": DAY if row["day"] else None} for row in ROWS]
        sink = io.BytesIO()
        parquet.write_table(pa.Table.from_pylist(days), sink)
        return sink.getvalue()
    text = io.StringIO()
    writer = csv.DictWriter(text, list(ROWS[0]), delimiter="," if ending == "csv" else "\t")
    writer.writeheader()
    writer.writerows(ROWS)
    return text.getvalue().encode()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gz"])
def test_every_format_gives_the_same_rows(ending: str, zipped: bool, tmp_path: Path) -> None:
    data = as_bytes(ending)
    name = f"rows.{ending}" + (".gz" if zipped else "")
    (tmp_path / name).write_bytes(gzip.compress(data, mtime=0) if zipped else data)
    reader = open_source(collection(name, tmp_path, FIELDS))
    assert reader.key == (KeyColumn("id", "text"),)
    assert list(reader.rows()) == EXPECTED


def test_a_format_may_be_declared_and_the_byte_order_mark_is_no_column(tmp_path: Path) -> None:
    (tmp_path / "rows.txt").write_bytes(b"\xef\xbb\xbf" + as_bytes("csv"))
    assert read("rows.txt", tmp_path, FIELDS, format="csv") == EXPECTED
    assert refused("rows.txt", tmp_path, FIELDS) == (
        "rows.txt: the ending does not tell the format; expected .jsonl, .csv, .tsv or .parquet (or with .gz), "
        "or format: in the source"
    )


def test_globs_and_urls_are_read_in_order(tmp_path: Path) -> None:
    for name, key in (("b.jsonl", "2"), ("a.jsonl", "1")):
        jsonl(tmp_path, {"id": key, "title": name}, name=name)
    assert [row.values for row in read("*.jsonl", tmp_path) if isinstance(row, RawRow)] == [("a.jsonl",), ("b.jsonl",)]
    with fsspec.open("memory://papers/rows.jsonl.gz", "wb") as stream:
        stream.write(gzip.compress(b'{"_id": 7, "title": "far"}', mtime=0))
    assert read("memory://papers/rows.jsonl.gz", tmp_path, id="_id") == [RawRow(key=("7",), values=("far",))]
    (tmp_path / "we[i]rd").mkdir()
    jsonl(tmp_path / "we[i]rd", {"id": "1", "title": "x"})
    assert len(read("we[i]rd/a.jsonl", tmp_path)) == 1


def test_integer_ids_are_bigint_in_parquet_and_text_in_jsonl(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": pa.array([1, 2], pa.int32()), "title": ["a", "b"]}), tmp_path / "a.parquet")
    reader = open_source(collection("a.parquet", tmp_path))
    assert reader.key == (KeyColumn("id", "bigint"),)
    assert [row.key for row in reader.rows() if isinstance(row, RawRow)] == [(1,), (2,)]
    parquet.write_table(pa.table({"id": ["x"], "title": ["b"]}), tmp_path / "b.parquet")
    assert refused("*.parquet", tmp_path).endswith(
        "*.parquet: id is bigint in a.parquet and text in b.parquet; expected one type in all files"
    )
    parquet.write_table(pa.table({"id": [1.5], "title": ["b"]}), tmp_path / "c.parquet")
    assert refused("c.parquet", tmp_path) == "c.parquet: id is double; expected text or whole numbers"


def test_parquet_times_of_any_unit_and_dictionaries_are_read(tmp_path: Path) -> None:
    ns = pa.array([DAY.replace(tzinfo=None), None]).cast(pa.timestamp("ns"))
    topics = pa.array(["x", "x"]).dictionary_encode()
    parquet.write_table(pa.table({"id": ["a", "b"], "day": ns, "topic": topics}), tmp_path / "a.parquet")
    rows = read("a.parquet", tmp_path, {"topic": "category", "day": "datetime"})
    assert rows == [RawRow(key=("a",), values=("x", DAY)), RawRow(key=("b",), values=("x", None))]


def test_unreadable_lines_and_wrong_types_are_set_aside_and_the_rest_goes_on(tmp_path: Path) -> None:
    name = jsonl(
        tmp_path,
        {"id": "1", "title": "a", "year": 1},
        b"{broken",
        b'{"id": "\xff"}',
        b"",
        [1],
        {"id": "5", "title": "b", "year": "1999"},
        {"id": "6", "title": "b\x00", "year": 1},
        b"[" * 100_000,
        {"id": "7", "title": "c"},
    )
    rows = read(name, tmp_path, {"title": "text", "year": "number"})
    assert [row.key for row in rows if isinstance(row, RawRow)] == [("1",), ("7",)]
    bad = [(row.where.replace(f"{tmp_path}/", ""), row.error) for row in rows if isinstance(row, BadRow)]
    assert bad[:5] == [
        (
            "a.jsonl:2",
            "not JSON (Expecting property name enclosed in double quotes at character 2); expected a JSON object",
        ),
        ("a.jsonl:3", "not UTF-8 at byte 8; expected a JSON object"),
        ("a.jsonl:5", "expected a JSON object, found a list"),
        ("a.jsonl:6", "year: expected a number, found the text '1999'"),
        ("a.jsonl:7", "title: expected text that Postgres can store, found a NUL character at position 1"),
    ]
    assert bad[5][0] == "a.jsonl:8"
    assert all(len(row.content) <= 200 for row in rows if isinstance(row, BadRow))


def test_bad_lines_of_csv_are_named_by_their_first_line(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,title\n1,"two\nlines"\n2\n3,\xff\n\n4,"x"y\n5,ok\n6,"open\n')
    rows = read("a.csv", tmp_path)
    assert [row.key for row in rows if isinstance(row, RawRow)] == [("1",), ("5",)]
    assert [(row.where.replace(f"{tmp_path}/", ""), row.error) for row in rows if isinstance(row, BadRow)] == [
        ("a.csv:4", "expected 2 cells, found 1"),
        ("a.csv:5", "expected UTF-8 without NUL characters"),
        ("a.csv:7", "not a line of the table: ',' expected after '\"'"),
        ("a.csv:9", "not a line of the table: unexpected end of data"),
    ]


MISSING = {"title": "text", "nope": "number"}


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (
            lambda f: jsonl(f, {"title": "x"}),
            None,
            "a.jsonl:1: the row has no id; expected a value in every row; it has title",
        ),
        (
            lambda f: jsonl(f, {"id": "1", "title": "x"}, {"id": None, "title": "y"}),
            None,
            "a.jsonl:2: the row has no id; expected a value in every row",
        ),
        (
            lambda f: jsonl(f, {"id": "1", "title": "x"}, {"id": "1", "title": "y"}),
            None,
            "a.jsonl:2: id '1' stands twice; expected each id once",
        ),
        (
            lambda f: jsonl(f, {"id": 1, "title": "x"}, {"id": "1", "title": "y"}),
            None,
            "a.jsonl:2: id '1' stands twice; expected each id once",
        ),
        (
            lambda f: jsonl(f, {"id": 1.5, "title": "x"}),
            None,
            "a.jsonl:1: id is the number 1.5; expected text or a whole number",
        ),
        (lambda f: jsonl(f, {"id": "1", "title": "x"}), MISSING, "a.jsonl: no row has nope; rows have id, title"),
        (
            lambda f: jsonl(f, b"a", b"b"),
            None,
            "a.jsonl:1: not JSON (Expecting value at character 1); expected a JSON object; "
            "not one row of the source can be read",
        ),
        (lambda f: "none.jsonl", None, "none.jsonl: no such file; expected a path, a glob or an fsspec URL"),
        (lambda f: "*.none", None, "*.none: no file matches; expected at least one file"),
        (lambda f: "nosuch://x/a.csv", None, "nosuch://x/a.csv: cannot be reached: Protocol not known: nosuch"),
        (lambda f: "ftp2://me:secret@x/a.csv", None, "ftp2://***@x/a.csv: cannot be reached: Protocol not known: ftp2"),
    ],
)
def test_what_would_make_the_reading_untrue_ends_it(
    make: Callable[[Path], str], fields: dict[str, str] | None, message: str, tmp_path: Path
) -> None:
    assert refused(make(tmp_path), tmp_path, fields) == message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"id,title\n1,x\n", "a.csv: has no column nope; it has id, title"),
        ("a.csv", b"key,title\n1,x\n", "a.csv: has no column id; it has key, title"),
        ("a.csv", b"id,title,nope\n,x,1\n", "a.csv:2: the row has no id; expected a value in every row"),
        ("a.csv", b"id,title,title,nope\n1,x,x,1\n", "a.csv:1: column title stands 2 times; expected it once"),
        ("a.csv", b"", "a.csv: is empty; expected a header with the names of the columns"),
        ("a.parquet", b"nothing" * 9, "a.parquet: not readable Parquet: Parquet magic bytes not found"),
        ("a.csv.gz", b"nothing", "a.csv.gz: cannot be read: Not a gzipped file"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"id": 1, "title": "x", "nope": 1}', mtime=0)[:-9],
            "a.jsonl.gz: cannot be read: Compr",
        ),
    ],
)
def test_files_that_are_not_what_they_say_end_the_reading(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert refused(name, tmp_path, MISSING).startswith(message)


def test_parquet_without_a_column_or_with_only_wrong_types_says_which(tmp_path: Path) -> None:
    parquet.write_table(pa.table({"id": ["a"], "title": [5]}), tmp_path / "a.parquet")
    assert refused("a.parquet", tmp_path, MISSING) == "a.parquet: has no column nope; it has id, title"
    assert refused("a.parquet", tmp_path, id="key") == "a.parquet: has no column key; it has id, title"
    assert refused("a.parquet", tmp_path) == (
        "a.parquet row 1: title: expected text, found the number 5; not one row of the source can be read"
    )


def test_a_folder_is_refused_with_the_glob_to_use(tmp_path: Path) -> None:
    (tmp_path / "rows").mkdir()
    assert refused("rows", tmp_path) == "rows: is a folder; expected a file or a glob such as rows/*.parquet"


def test_the_fingerprint_follows_files_and_options(tmp_path: Path) -> None:
    name = jsonl(tmp_path, {"id": "1", "title": "x"})
    before = open_source(collection("*.jsonl", tmp_path)).fingerprint()
    assert open_source(collection("*.jsonl", tmp_path)).fingerprint() == before
    assert open_source(collection("*.jsonl", tmp_path, {"title": "category"})).fingerprint() != before
    os.utime(tmp_path / name, (1, 1))
    touched = open_source(collection("*.jsonl", tmp_path)).fingerprint()
    assert touched != before
    jsonl(tmp_path, {"id": "2", "title": "x"}, name="b.jsonl")
    assert open_source(collection("*.jsonl", tmp_path)).fingerprint() not in (before, touched)
    with pytest.raises(SourceError, match="no file matches"):
        open_source(collection("*.csv", tmp_path)).fingerprint()


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(texts, st.none() | st.floats(allow_nan=False, allow_infinity=False)), max_size=8))
def test_any_rows_survive_any_format(tmp_path: Path, rows: list[tuple[str, float | None]]) -> None:
    table = [{"id": str(n), "title": text, "year": number} for n, (text, number) in enumerate(rows)]
    fields = {"title": "text", "year": "number"}
    expected = [RawRow(key=(str(n),), values=row) for n, row in enumerate(rows)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, table)), encoding="utf-8")
    assert read("a.jsonl", tmp_path, fields) == expected
    schema = pa.schema([("id", pa.string()), ("title", pa.string()), ("year", pa.float64())])
    parquet.write_table(pa.Table.from_pylist(table, schema), tmp_path / "a.parquet")
    assert read("a.parquet", tmp_path, fields) == expected
    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, ["id", "title", "year"])
        writer.writeheader()
        writer.writerows(table)
    empty_is_null = [RawRow(row.key, (row.values[0] or None, row.values[1])) for row in expected]
    assert read("a.csv", tmp_path, fields) == empty_is_null


def test_memory_is_bounded_by_ids_not_by_rows(tmp_path: Path) -> None:
    line = json.dumps({"id": "ID", "title": "x" * 2000}) + "\n"
    with (tmp_path / "big.jsonl").open("w", encoding="utf-8") as stream:
        stream.writelines(line.replace("ID", str(n)) for n in range(5_000))

    def drain(rows: Iterator[RawRow | BadRow]) -> int:
        return sum(1 for _ in rows)

    tracemalloc.start()
    try:
        assert drain(open_source(collection("big.jsonl", tmp_path)).rows()) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20  # the file has 10 MB
    finally:
        tracemalloc.stop()
