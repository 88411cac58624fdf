"""Every kind of chunk on every text: nothing lost, none too long, none empty; and what each kind is for."""

from __future__ import annotations

import re
import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.records import ChunkRule
from vector_assets.source.chunking import chunk_spans, cut_text
from vector_assets.source.markdown import heading_path, headings

_TOKEN = re.compile(r"[A-Za-z]{1,4}|[^\sA-Za-z\u200b]")


def tokens(text: str) -> list[tuple[int, int]]:
    """Like WordPiece: pieces of words of four letters, signs alone; zero-width space has none, a long word is one."""
    found: list[tuple[int, int]] = []
    for word in re.finditer(r"\S+", text):
        start, stop = word.span()
        if stop - start > 150:
            found.append((start, stop))
        else:
            found += [match.span() for match in _TOKEN.finditer(text, start, stop)]
    return found


PIECES = [
    "Dr. Smith came. ", "It is so. ", "What? ", "word ", " ", "\n", "\n\n", "\r\n", "\r", "这是一句话。", "👩\u200d🔬",
    "e\u0301", "\u0301", "\u200b", "\ufeff", "\t", "\u2029", "\x00", "\x0c", "- item\n", "A" * 70, "b" * 300, "\ud800",
    "# One\n",
    "### Three #\n", "Under\n=====\n", "---\n", "```\n", "````python\n", "~~~\n", "def f(a):\n", "    return a\n",
    "class A:\n",
    "    x = 1\n", "@wraps\n", "# note\n", "    def g(self):\n        pass\n", "if x:\n", "else:\n", "x = (1,\n 2)\n",
    "a = 1; b = 2\n",
]  # fmt: skip
CODE = [
    "import os\n", "x = 1\n", "# a comment\n", "\n", "def f(a):\n    return a\n",
    "@deco\ndef g():\n    '''Doc.'''\n    a = 1; b = 2\n",
    "class A:\n    '''Doc.'''\n    x = 1\n\n    # note\n    def m(self):\n        return 1\n\n"
    "    @property\n    def p(self): return 2\n",
    "if x:\n    y = 1\nelif z:\n    y = 2\nelse:\n    y = 3\n",
    "try:\n    a()\nexcept E:\n    b()\nfinally:\n    c()\n",
    "s = '''\n\nmany\n\nlines é\n'''\n", "a = 1; b = 2\n", "t = 'é👩\u200d🔬'; u = 2\r\n",
    "match x:\n    case 1:\n        y = 1\n",
]  # fmt: skip
texts = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PIECES), max_size=60).map("".join),
    st.lists(st.sampled_from(CODE), max_size=20).map("".join),
)
RULES = {
    "sentence": ChunkRule("sentence", 40, 10),
    "paragraph": ChunkRule("paragraph", 40),
    "window": ChunkRule("window", 60, sentences=3),
    "strides": ChunkRule("window", 60, sentences=3, stride=2),
    "tokens": ChunkRule("tokens", 8),
    "overlapping tokens": ChunkRule("tokens", 16, 4),
    "markdown": ChunkRule("markdown", 40),
    "code": ChunkRule("code", 50),
}


def length(text: str, rule: ChunkRule) -> int:
    return len(tokens(text)) if rule.by == "tokens" else len(text)


@pytest.mark.parametrize("name", RULES)
@given(text=texts, edges=st.lists(st.integers(-5, 220), max_size=3))
@settings(max_examples=60, deadline=None)
def test_chunks_of_every_kind_hold_all_and_are_none_too_long(name: str, text: str, edges: list[int]) -> None:
    rule = RULES[name]
    spans = chunk_spans(text, rule, edges, tokens)
    covered = set()
    for start, stop in spans:
        assert 0 <= start < stop <= len(text)
        assert length(text[start:stop], rule) <= rule.size
        assert not text[start].isspace()
        assert not text[stop - 1].isspace()
        covered |= set(range(start, stop))
    assert {place for place, char in enumerate(text) if not char.isspace()} <= covered
    for before, after in pairwise(spans):
        assert before[0] < after[0], "in order"
        assert before[1] < after[1], "and none inside of another"
        if not rule.overlap and rule.by != "window":
            assert before[1] <= after[0]
    for edge in edges:
        assert not any(start < edge < stop for start, stop in spans), "no chunk reaches across a border"
    assert chunk_spans(text, rule, edges, tokens) == spans, "the same text, the same chunks"


def cut(text: str, rule: ChunkRule) -> list[str]:
    return [text[start:stop] for start, stop in chunk_spans(text, rule, tokens=tokens)]


def test_a_window_slides_over_the_sentences_of_a_paragraph() -> None:
    text = "One is. Two is. Three is. Four is. Five is.\n\nSix is. Seven is."
    assert cut(text, ChunkRule("window", 1000, sentences=3)) == [
        "One is. Two is. Three is.", "Two is. Three is. Four is.", "Three is. Four is. Five is.", "Six is. Seven is.",
    ]  # fmt: skip
    assert cut(text, ChunkRule("window", 1000, sentences=3, stride=2)) == [
        "One is. Two is. Three is.", "Three is. Four is. Five is.", "Six is. Seven is.",
    ]  # fmt: skip
    by_two = cut(text, ChunkRule("window", 20, sentences=3))
    assert by_two[:3] == ["One is. Two is.", "Two is. Three is.", "Three is. Four is."], "20 characters hold no three"


def test_tokens_are_counted_whole_words_first_and_repeated_by_the_overlap() -> None:
    text = "aa bb cc dd ee ff gg hh ii jj"
    assert cut(text, ChunkRule("tokens", 4)) == ["aa bb cc dd", "ee ff gg hh", "ii jj"]
    assert cut(text, ChunkRule("tokens", 4, 2)) == ["aa bb cc dd", "cc dd ee ff", "ee ff gg hh", "gg hh ii jj"]
    assert cut("aa bb cc abcdefgh dd", ChunkRule("tokens", 4)) == ["aa bb cc", "abcdefgh dd"], (
        "its two tokens stay together"
    )
    assert cut("abcdefgh" * 5, ChunkRule("tokens", 8)) == ["abcdefgh" * 4, "abcdefgh"], "a long word is cut at tokens"


def test_a_piece_of_a_word_is_counted_as_what_it_is_by_itself() -> None:
    """A word of 5,000 letters is one unknown token; its pieces, by themselves, are many."""
    text = "x" * 160 + " " + "y" * 5000
    for piece in cut(text, ChunkRule("tokens", 8)):
        assert len(tokens(piece)) <= 8


def test_chunks_by_tokens_need_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="tokenizer"):
        chunk_spans("a text", ChunkRule("tokens", 8))


MARKDOWN = """\
---
title: not a heading
---
Before all.

# Guide

## Install
Run it.

````sh
# not a heading
```
# nor this, the fence has four marks
~~~
````

## Use
### First
Do this.

Under lined
-----------
Text, and
not one
---
## Closed ##
"""


def test_headings_outside_of_code_make_the_sections() -> None:
    found = headings(MARKDOWN)
    assert [(one.level, one.title) for one in found] == [
        (1, "Guide"), (2, "Install"), (2, "Use"), (3, "First"), (2, "Under lined"), (2, "Closed"),
    ]  # fmt: skip
    sections = cut(MARKDOWN, ChunkRule("markdown", 200))
    assert [section.splitlines()[0] for section in sections] == [
        "---",
        "# Guide",
        "## Use",
        "Under lined",
        "## Closed ##",
    ]
    assert sections[1].endswith("````"), "a fence holds shorter and other fences"


def test_a_place_knows_the_headings_above_it() -> None:
    assert heading_path(MARKDOWN, MARKDOWN.index("Do this")) == ("Guide", "Use", "First")
    assert heading_path(MARKDOWN, MARKDOWN.index("not one")) == ("Guide", "Under lined")
    assert heading_path(MARKDOWN, MARKDOWN.index("Before")) == ()


def test_a_long_section_keeps_its_heading_with_text_and_its_blocks_whole() -> None:
    text = "# Title\n\nA paragraph of some words here.\n\nAnother one of words. It has two sentences, long ones.\n\n"
    text += "```\nx\n\ny\n```\n"
    found = cut(text, ChunkRule("markdown", 60))
    assert found[0] == "# Title\n\nA paragraph of some words here."
    assert found[-1] == "```\nx\n\ny\n```"


def test_a_fence_that_is_left_open_goes_to_the_end() -> None:
    assert [one.title for one in headings("# A\n```\n# B\n~~~\n# C\n")] == ["A"]


PROGRAM = '''\
"""A module."""
import os

x = 1


# says a
@cache
def a():
    return 1


class Small:
    def m(self):
        return 2


class Large:
    """Has much."""

    limit = 100

    # says first
    def first(self):
        return "a long enough body, so that not both fit"

    def second(self):
        return "and another long one, so that not both fit"
'''


def test_functions_and_classes_are_chunks_and_large_classes_fall_into_methods() -> None:
    found = cut(PROGRAM, ChunkRule("code", 120))
    assert [piece.splitlines()[0].strip() for piece in found] == [
        '"""A module."""', "# says a", "class Small:", "class Large:", "# says first", "def second(self):",
    ]  # fmt: skip
    assert found[0].endswith("x = 1")
    assert found[3].endswith("limit = 100")


def test_a_long_function_is_cut_between_its_statements() -> None:
    body = "".join(f"    value_{number} = compute({number})\n" for number in range(9))
    found = cut(f"def long():\n{body}    if x:\n        one()\n    else:\n        two()\n", ChunkRule("code", 100))
    assert all(piece.startswith(("def", "value", "if")) for piece in found)


@pytest.mark.parametrize(
    "text",
    ["def f(:\n  pass\n\nSome prose.", "Not code at all, you see.", "x = 1\x00", "(" * 5000, "-" * 100_000 + "1"],
    ids=["broken", "prose", "null", "nested", "signs"],
)  # fmt: skip
def test_what_cannot_be_parsed_is_cut_by_paragraphs_and_said(text: str) -> None:
    found = cut_text(text, ChunkRule("code", 60))
    assert not found.parsed
    assert found.spans == chunk_spans(text, ChunkRule("paragraph", 60))
    assert cut_text("x = 1", ChunkRule("code", 60)).parsed


def test_one_field_of_code_beside_one_of_prose_counts_as_parsed() -> None:
    assert cut_text("What it does, in words.\nx = 1", ChunkRule("code", 60), [24]).parsed


WORST = {
    "one word": "a", "marks": "\u0301", "hashes": "#", "dashes": "-", "fences": "```\n", "headings": "# a\n",
    "spaces": " ",
    "carriage returns": "\r", "short lines": "x\n", "underlines": "a\n---\n", "bare headings": "#\n", "brackets": "(",
    "emoji": "👩\u200d🔬", "statements": "x = 1\n", "one line": "x=1;",
}  # fmt: skip


@pytest.mark.parametrize("name", ["window", "overlapping tokens", "markdown", "code"])
@pytest.mark.parametrize("kind", WORST)
def test_work_grows_with_length_and_no_faster(kind: str, name: str) -> None:
    """Counted in lines of Python run, not in seconds."""

    def steps(size: int) -> int:
        text = "a" + (WORST[kind] * size)[:size] + "z"
        count = 0

        def tracer(frame: object, event: str, argument: object) -> object:
            nonlocal count
            count += 1
            return tracer

        before = sys.gettrace()
        sys.settrace(tracer)  # type: ignore[arg-type]
        try:
            chunk_spans(text, RULES[name], tokens=tokens)
        finally:
            sys.settrace(before)
        return count

    assert steps(6000) <= 2.5 * steps(3000) + 200


def test_a_megabyte_in_one_line_is_cut_by_every_kind() -> None:
    text = "word " * 200_000
    for rule in (
        ChunkRule("window", 1000),
        ChunkRule("tokens", 128),
        ChunkRule("markdown", 1000),
        ChunkRule("code", 700),
    ):
        spans = chunk_spans(text, rule, tokens=tokens)
        assert sum(stop - start for start, stop in spans) > 900_000
