"""Sentences by spaCy's rules: what is cut, what it is not without, and what its absence says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise

import pytest
from fakes import Declare
from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.embedding.layout import SpaceEncoder, plan_layout
from vector_assets.errors import SpecError
from vector_assets.records import ChunkRule
from vector_assets.source.chunking import chunk_spans
from vector_assets.source.sentences import sentences
from vector_assets.source.spacy_sentences import LONGEST, spacy_pipeline, spacy_sentences

GERMAN = {"by": "sentence", "splitter": "spacy", "language": "de"}
WHY = "spaCy is not installed: pip install 'vector-assets[spacy]'"


@pytest.fixture
def anew() -> Iterator[None]:
    spacy_pipeline.cache_clear()
    yield
    spacy_pipeline.cache_clear()


def test_without_spacy_it_says_what_to_install_before_a_row_is_read(
    declare: Declare, anew: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    collection = declare(spaces={"text": {"fields": ["body"], "chunk": GERMAN}})
    with pytest.raises(SpecError, match=r"splitter: spacy needs spaCy; install vector-assets\[spacy\]"):
        plan_layout(collection, {"text": SpaceEncoder("digest", 4)})


def test_what_a_splitter_means_is_in_the_digest_and_old_ones_hold() -> None:
    assert ChunkRule("sentence", 200).meaning() == {"by": "sentence", "size": 200, "overlap": 0}
    german = ChunkRule("sentence", 200, language="de", splitter="spacy").meaning()
    assert german == {"by": "sentence", "size": 200, "overlap": 0, "splitter": "spacy", "language": "de"}


def cut(text: str, language: str = "de", size: int = 60) -> list[str]:
    pytest.importorskip("spacy", reason=WHY)
    rule = ChunkRule("sentence", size, language=language, splitter="spacy")
    return [text[start:stop] for start, stop in chunk_spans(text, rule)]


def test_a_language_knows_its_abbreviations() -> None:
    pytest.importorskip("spacy", reason=WHY)
    text = "Das gilt bzgl. Bonn und Kiel. Danach nicht mehr."
    assert next(text[start:stop] for start, stop in sentences(text)) == "Das gilt bzgl.", "which our own rules do not"
    found = ["Das gilt bzgl. Bonn und Kiel.", "Danach nicht mehr."]
    assert [text[start:stop] for start, stop in spacy_sentences("de", text, 0, len(text))] == found
    assert cut(text, size=30) == found
    assert next(iter(spacy_sentences("de", text, 9, len(text)))) == (9, 29), "places in the whole text"


def test_paragraphs_and_windows_take_it_as_well() -> None:
    pytest.importorskip("spacy", reason=WHY)
    text = "Eins ist da. Zwei ist da. Drei ist da."
    window = ChunkRule("window", 1000, sentences=2, language="de", splitter="spacy")
    assert [text[a:b] for a, b in chunk_spans(text, window)] == [
        "Eins ist da. Zwei ist da.",
        "Zwei ist da. Drei ist da.",
    ]
    paragraph = ChunkRule("paragraph", 30, language="de", splitter="spacy")
    assert [text[a:b] for a, b in chunk_spans(text, paragraph)] == ["Eins ist da. Zwei ist da.", "Drei ist da."]


PIECES = [
    "Dr. Huber kam. ",
    "Was? ",
    "wort ",
    " ",
    "\n",
    "\n\n",
    "这是一句话。",
    "e\u0301",
    "\u200b",
    "\x00",
    "A" * 70,
    "\ud800",
    "...",
]


@given(text=st.one_of(st.text(max_size=120), st.lists(st.sampled_from(PIECES), max_size=40).map("".join)))
@settings(max_examples=60, deadline=None)
def test_all_text_is_in_one_chunk_and_none_is_too_long(text: str) -> None:
    pytest.importorskip("spacy", reason=WHY)
    spans = chunk_spans(text, ChunkRule("sentence", 40, language="xx", splitter="spacy"))
    covered = {place for start, stop in spans for place in range(start, stop)}
    assert {place for place, char in enumerate(text) if not char.isspace()} <= covered
    assert all(0 < stop - start <= 40 for start, stop in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_a_paragraph_that_is_too_long_for_it_is_cut_by_our_own_rules() -> None:
    pytest.importorskip("spacy", reason=WHY)
    text = "Es ist so. " * (LONGEST // 11 + 1)
    found = list(spacy_sentences("de", text, 0, len(text)))
    assert {text[start:stop] for start, stop in found} == {"Es ist so."}


def test_a_language_that_it_does_not_have_is_one_line(anew: None) -> None:
    pytest.importorskip("spacy", reason=WHY)
    with pytest.raises(SpecError, match=r"chunk\.language: spaCy has no pipeline for qq here"):
        list(spacy_sentences("qq", "a", 0, 1))
