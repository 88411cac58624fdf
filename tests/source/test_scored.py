"""Files that encoders are scored on: labelled texts, scored pairs, and what is refused of them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from vector_assets.errors import SourceError
from vector_assets.source.scored import Labelled, ScoredPairs, read_labelled_texts, read_scored_pairs


def test_labelled_texts_of_any_format_by_the_names_of_their_columns(tmp_path: Path) -> None:
    wanted = Labelled(("one, two", "three"), ("a", "7"))
    (tmp_path / "a.csv").write_text('category,text\na,"one, two"\n7,three\n')
    (tmp_path / "a.jsonl").write_text('{"text": "one, two", "category": "a"}\n{"text": "three", "category": 7}\n')
    with gzip.open(tmp_path / "a.tsv.gz", "wt") as file:
        file.write("text\tcategory\none, two\ta\nthree\t7\n")
    for name in ("a.csv", "a.jsonl", "a.tsv.gz"):
        assert read_labelled_texts(str(tmp_path / name), label="category") == wanted, name


def test_scored_pairs(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("sentence1,sentence2,score\na,b,4.5\nc,d,0\n")
    assert read_scored_pairs(str(tmp_path / "p.csv")) == ScoredPairs(("a", "c"), ("b", "d"), (4.5, 0.0))


@pytest.mark.parametrize(
    ("name", "text", "wrong"),
    [
        ("a.csv", "text,category\none,a\n", r"a\.csv: has no column label; it has text, category"),
        ("a.csv", "text,label\none,a\n ,b\n", r"a\.csv:3: text is empty; expected text"),
        ("a.csv", "text,label\n", r"has no line; expected text and label"),
        ("a.jsonl", '{"text": "one"}\n', r"a\.jsonl:1: label is null; expected text"),
        ("a.txt", "one", "the ending does not tell the format"),
    ],
)
def test_wrong_labelled_texts_are_named(tmp_path: Path, name: str, text: str, wrong: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(SourceError, match=wrong):
        read_labelled_texts(str(tmp_path / name))


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        ("a,b,high\n", r"p\.csv:2: score is the text 'high'; expected a number"),
        ("a,b,nan\n", "expected a number"),
        ("a,b,1\nc,d,1\n", "2 pairs with 1 different scores; expected at least 2"),
        ("a,,1\n", r"p\.csv:2: sentence2 is empty"),
    ],
)
def test_wrong_pairs_are_named(tmp_path: Path, lines: str, wrong: str) -> None:
    (tmp_path / "p.csv").write_text("sentence1,sentence2,score\n" + lines)
    with pytest.raises(SourceError, match=wrong):
        read_scored_pairs(str(tmp_path / "p.csv"))
