"""A JSON object in a file: whole, or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from vector_assets.stores.json_files import read_json, write_json


def test_what_was_written_is_read_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "found.json"
    assert read_json(path) == {}
    write_json(path, {"größe": 1})
    write_json(path, {"größe": 2, "of": [1, None]})
    assert read_json(path) == {"größe": 2, "of": [1, None]}
    assert "größe" in path.read_text(encoding="utf-8")
    assert [each.name for each in path.parent.iterdir()] == ["found.json"]


@pytest.mark.parametrize("half", ["", '{"a": 1', "[1]", '"text"'])
def test_half_a_file_or_another_thing_is_nothing(tmp_path: Path, half: str) -> None:
    (tmp_path / "a.json").write_text(half)
    assert read_json(tmp_path / "a.json") == {}
