"""A declaration written from a file loads, and its source can be read with it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from vector_assets.errors import SourceError
from vector_assets.records import RawRow
from vector_assets.source.infer import new_declaration
from vector_assets.source.open import open_source
from vector_assets.spec import FileSource, ImageSpace
from vector_assets.spec.load import load_text

SCIFACT = Path(__file__).resolve().parents[3] / "shared/data/scifact/corpus.jsonl.gz"


def rows(count: int = 40) -> list[dict[str, object]]:
    return [
        {
            "_id": f"p{n}",
            "body": f"A longer text about number {n}, in a sentence.",
            "title": f"Paper {n}",
            "topic": ["x", "y"][n % 2],
            "published": f"2026-01-{n % 28 + 1:02}",
            "price": n / 2,
            "tags": ["a"],
            "code": f"C{n}",
        }
        for n in range(count)
    ]


def test_types_id_texts_and_filters_are_read_off_the_rows(tmp_path: Path) -> None:
    folder = tmp_path / "papers" / "defs" / "papers"
    file = tmp_path / "data" / "papers.jsonl"
    file.parent.mkdir()
    file.write_text("\n".join(map(json.dumps, rows())), encoding="utf-8")
    text = new_declaration("papers", str(file), folder=folder, root=tmp_path)
    assert text == (Path(__file__).parent / "new_papers.yaml").read_text(encoding="utf-8")
    collection = load_text(text, "defs.yaml", folder)
    assert isinstance(collection.source, FileSource)
    assert collection.source.path == "../../../data/papers.jsonl"
    folder.mkdir(parents=True)
    assert len([row for row in open_source(collection).rows() if isinstance(row, RawRow)]) == 40


def test_csv_cells_are_typed_by_what_they_hold(tmp_path: Path) -> None:
    lines = ["sku,name,price,since,odd name: x"] + [
        f"s{n},Thing number {n},{n}.5,2026-02-0{n},{n % 2}" for n in range(1, 9)
    ]
    file = tmp_path / "things.csv"
    file.write_text("\n".join(lines), encoding="utf-8")
    collection = load_text(new_declaration("things", str(file), folder=tmp_path, root=tmp_path), "defs.yaml", tmp_path)
    assert collection.source == FileSource(kind="file", path="things.csv", id="sku")
    assert collection.fields == {"name": "text", "price": "number", "since": "datetime", "odd name: x": "number"}
    assert len(list(open_source(collection).rows())) == 8


def test_a_file_elsewhere_is_named_absolutely_and_the_id_may_be_chosen(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text('{"key": "1", "name": "a b"}\n{"key": "2", "name": "c d"}', encoding="utf-8")
    where = tmp_path / "elsewhere"
    text = new_declaration("a", str(file), folder=where, root=where, id_column="name", format="jsonl")
    source = load_text(text.replace("key: category", "key: text"), "x", where).source
    assert source == FileSource(kind="file", path=str(file), id="name", format="jsonl")


def test_no_id_and_no_rows_are_said(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    for content, id_column, message in (
        ('{"a": "x"}\n{"a": "x"}', None, "no column names its rows (unique and never empty); expected one, it has a"),
        ('{"a": "x"}', "b", "has no column b; it has a"),
        ("nothing", None, "has no readable row; expected some to read the types of the columns from"),
    ):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(SourceError) as caught:
            new_declaration("a", str(file), folder=tmp_path, root=tmp_path, id_column=id_column)
        assert str(caught.value) == f"{file}: {message}"


@pytest.mark.skipif(not SCIFACT.is_file(), reason="the scifact data set is not on this machine")
def test_scifact_needs_no_hand(tmp_path: Path) -> None:
    collection = load_text(new_declaration("scifact", str(SCIFACT), folder=tmp_path, root=tmp_path), "x", tmp_path)
    assert collection.fields == {"title": "text", "text": "text"}
    assert collection.spaces["text"].fields == ["title", "text"]
    assert sum(1 for _ in open_source(collection).rows()) == 5183


def test_paths_of_images_are_no_texts(tmp_path: Path) -> None:
    lines = [json.dumps({"id": str(n), "title": f"Thing {n}", "photo": f"pictures/{n}.JPG"}) for n in range(9)]
    (tmp_path / "things.jsonl").write_text("\n".join(lines))
    text = new_declaration("things", str(tmp_path / "things.jsonl"), folder=tmp_path, root=tmp_path)
    assert load_text(text, "defs.yaml", tmp_path).fields == {"title": "text"}
    assert "# photo: left out, holds images; declare it as image, with a space {kind: image" in text


@pytest.mark.parametrize("kind", ["path", "bytes", "dataset"])
def test_where_there_are_images_only_they_are_what_the_vector_is_made_of(tmp_path: Path, kind: str) -> None:
    content = b"\x89PNG\r\n\x1a\n"
    value = {"path": "a/1.png", "bytes": content, "dataset": {"bytes": content, "path": "1.png"}}[kind]
    parquet.write_table(pa.table({"id": ["a", "b"], "photo": [value, value]}), tmp_path / "a.parquet")
    text = new_declaration("a", str(tmp_path / "a.parquet"), folder=tmp_path, root=tmp_path)
    collection = load_text(text, "defs.yaml", tmp_path)
    assert collection.fields == {"photo": "image"}
    assert collection.spaces == {"image": ImageSpace(kind="image", fields=["photo"], encoder="./encoder")}
