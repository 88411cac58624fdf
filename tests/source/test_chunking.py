"""Chunks: nothing lost, none too long, borders that an edit elsewhere does not move, work that grows with length."""

from __future__ import annotations

import sys
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.records import ChunkRule
from vector_assets.source.chunking import chunk_spans
from vector_assets.source.sentences import sentences

PIECES = [
    "Dr. Smith came. ", "e.g. ", "It costs 3.50 in the U.S. now. ", "What? ", "Wait… ", "word", " ", "\n", "\n\n", "。",
    "这是一句话。", "「はい。」", "👩\u200d🔬", "e\u0301", "\u0301", "\u200d", "…", "...", '"', ")", "\t",
    "\r\n", "\u2029", "\u3000", "\x00", "1. ", "- item\n", "A" * 70, "\ud800",
]  # fmt: skip
texts = st.one_of(st.text(max_size=300), st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
ways = st.sampled_from(["sentence", "paragraph"])
rules = st.builds(lambda by, size, share: ChunkRule(by, size, int(size * share)), ways, st.integers(20, 120),
                  st.just(0.0) | st.floats(0, 0.5))  # fmt: skip
borders = st.lists(st.integers(-5, 320), max_size=4)


@given(texts, rules, borders)
@settings(max_examples=250, deadline=None)
def test_nothing_is_lost_and_no_chunk_is_too_long(text: str, rule: ChunkRule, edges: list[int]) -> None:
    spans = chunk_spans(text, rule, edges)
    covered = set()
    for start, stop in spans:
        assert 0 <= start < stop <= len(text)
        assert stop - start <= rule.size
        assert not text[start].isspace()
        assert not text[stop - 1].isspace()
        covered |= set(range(start, stop))
    assert {place for place, char in enumerate(text) if not char.isspace()} <= covered
    assert chunk_spans(text, rule, edges) == spans, "the same text, the same chunks"


@given(texts, rules, borders)
@settings(max_examples=250, deadline=None)
def test_chunks_follow_one_another_and_overlap_by_no_more_than_declared(
    text: str, rule: ChunkRule, edges: list[int]
) -> None:
    spans = chunk_spans(text, rule, edges)
    for before, after in pairwise(spans):
        assert before[1] < after[1]
        assert before[1] - after[0] <= rule.overlap
    for edge in edges:
        assert not any(start < edge < stop for start, stop in spans), "no chunk reaches across a border"


plain = st.lists(
    st.lists(
        st.sampled_from(["One cat sat.", "It costs 3.50!", "Dr. No came?", "and went on", "B" * 50, "\n", "x"]),
        min_size=1,
        max_size=12,
    ).map(" ".join),
    min_size=2,
    max_size=6,
)


@given(plain, plain, rules, st.data())
@settings(max_examples=200, deadline=None)
def test_an_edit_in_one_paragraph_leaves_the_chunks_of_all_others(
    paragraphs: list[str], others: list[str], rule: ChunkRule, data: st.DataObject
) -> None:
    """By text: before the edited paragraph and after it every chunk is what it was."""
    edited = data.draw(st.integers(0, len(paragraphs) - 1))
    changed = [*paragraphs[:edited], others[0], *paragraphs[edited + 1 :]]

    def chunks(some: list[str]) -> list[str]:
        text = "\n\n".join(some)
        return [text[start:stop] for start, stop in chunk_spans(text, rule)]

    before, after = chunks(paragraphs[:edited]), chunks(paragraphs[edited + 1 :])
    for some in (paragraphs, changed):
        found = chunks(some)
        assert found[: len(before)] == before
        assert found[len(found) - len(after) :] == after


def test_an_edit_in_one_long_paragraph_moves_few_borders() -> None:
    words = [f"Sentence number {number} says something of its own." for number in range(400)]
    rule = ChunkRule("sentence", 200)
    text, changed = " ".join(words), " ".join(["A new beginning of another length, put first.", *words])
    old = {text[a:b] for a, b in chunk_spans(text, rule)}
    new = {changed[a:b] for a, b in chunk_spans(changed, rule)}
    assert len(old) > 90
    assert len(new - old) < 15


@given(texts, borders)
@settings(max_examples=200, deadline=None)
def test_sentences_hold_everything_but_space(text: str, edges: list[int]) -> None:
    found = list(sentences(text))
    assert all(a[1] <= b[0] for a, b in pairwise(found))
    covered = {place for start, stop in found for place in range(start, stop)}
    assert {place for place, char in enumerate(text) if not char.isspace()} <= covered


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith paid $3.50 for it.", 'He said: "It works!"', "Then he left."],
        ["The U.S. economy grew 2.4 percent, e.g. in Q3.", "What now?", "See Fig. 4 for details...", "Next one."],
        ["It was J. R. R. Tolkien who wrote it.", "We met at 5 p.m. on Monday.", "I live in the U.S.", "Yes!"],
        ["这是第一句。", "这是第二句！", "「はい。」", "No. 5 is alive."],
        ['"Really?" he asked.', "Wait… what?", "(It is so.)", "Smith et al. (2020) found it, etc.", "It ends."],
        ["1. First item.", "2. Second item."],
        ["What!?", "No...", "Ünlü came.", "Élan vital."],
    ],
)
def test_where_sentences_end(expected: list[str]) -> None:
    text = " ".join(expected)
    assert [text[start:stop] for start, stop in sentences(text)] == expected


def test_items_of_a_list_are_sentences() -> None:
    text = "We need\n- bread\n  * milk\n12) eggs"
    assert [text[start:stop] for start, stop in sentences(text)] == ["We need", "- bread", "* milk", "12) eggs"]


def test_a_paragraph_is_one_chunk_unless_it_is_too_long() -> None:
    text = "First one. It has two.\n\n\n  Second.\n \nThird is long: " + "word. " * 10
    found = [text[a:b] for a, b in chunk_spans(text, ChunkRule("paragraph", 40))]
    assert found[:2] == ["First one. It has two.", "Second."]
    assert len(found) > 3
    by_sentence = [text[a:b] for a, b in chunk_spans(text, ChunkRule("sentence", 20))]
    assert by_sentence[:3] == ["First one.", "It has two.", "Second."]


def test_a_word_over_the_limit_is_cut_but_never_inside_a_character() -> None:
    text = "x" * 19 + "e\u0301" + "y" * 30 + " " + "👩\u200d🔬" * 12
    found = [text[a:b] for a, b in chunk_spans(text, ChunkRule("sentence", 20))]
    assert found[0] == "x" * 19, "e with its accent stays whole"
    assert "".join(found) == text.replace(" ", "")
    assert all(len(piece) % 3 == 0 for piece in found if "👩" in piece), "and so does what a joiner joins"


def test_an_overlap_begins_with_a_word() -> None:
    text = " ".join(f"Number {n} is here and says so." for n in range(12))
    spans = chunk_spans(text, ChunkRule("sentence", 100, 20))
    again = [text[after[0] : before[1]] for before, after in pairwise(spans)]
    assert any(again)
    for before, after in pairwise(spans):
        assert text[after[0] - 1] == " "
        assert after[0] > before[0]


WORST = {
    "quotes left open": "“a. ",
    "dots": ".",
    "spaces": " ",
    "one word": "a",
    "marks on one letter": "\u0301",
    "sentences of one letter": "! ",
    "full stops of Chinese": "。",
    "brackets": ".)",
    "lines of space": "\n" + " " * 300,
    "sentences": "It is so. ",
}


@pytest.mark.parametrize("kind", WORST)
def test_work_grows_with_length_and_no_faster(kind: str) -> None:
    """Counted in lines of Python run, not in seconds; what runs inside the regular expressions gives up nothing."""

    def steps(length: int) -> int:
        text = "a" + (WORST[kind] * length)[:length] + "z"
        count = 0

        def tracer(frame: object, event: str, argument: object) -> object:
            nonlocal count
            count += 1
            return tracer

        before = sys.gettrace()
        sys.settrace(tracer)  # type: ignore[arg-type]
        try:
            chunk_spans(text, ChunkRule("sentence", 60, 10))
        finally:
            sys.settrace(before)
        return count

    assert steps(8000) <= 2.5 * steps(4000) + 100
