"""The packaged encoder's own tokens: where they stand in any text, chunks counted in them, and its cut at 256."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from vector_assets.encoder.resolve import resolve_encoder
from vector_assets.encoder.text.tokens import TextTokens
from vector_assets.records import ChunkRule
from vector_assets.source.chunking import chunk_spans

PIECES = [
    "The cat sat. ", "antidisestablishmentarianism ", "é", "e\u0301", "👩\u200d🔬 ", "\r\n", "\u200b", "这是", "3.50 ",
    "\x00", "x" * 130,
]  # fmt: skip
WORDS = "Neurons of the mammalian cortex respond to stimuli. "


@pytest.fixture(scope="module")
def tokens() -> TextTokens:
    folder = resolve_encoder("minilm", folder=Path())
    return TextTokens(Tokenizer.from_file(str(folder / "tokenizer.json")), 256)


def test_spans_are_characters_of_the_text_as_it_is(tokens: TextTokens) -> None:
    text = "  Ünlü 👩\u200d🔬 cats,\r\nunbelievably"
    assert "".join(text[start:stop] for start, stop in tokens.spans(text)).startswith("Ünlü")
    assert len(tokens.spans(WORDS * 500)) > 3000, "no limit"
    assert len(tokens([WORDS * 500]).ids[0]) == 256, "and the limit of what is encoded is where it was"


@given(st.one_of(st.text(st.characters(exclude_categories=["Cs"]), max_size=200),
                 st.lists(st.sampled_from(PIECES), max_size=60).map("".join)))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_chunks_have_no_more_tokens_than_declared_and_leave_nothing_out(tokens: TextTokens, text: str) -> None:
    spans = chunk_spans(text, ChunkRule("tokens", 16, 4), tokens=tokens.spans)
    covered = {place for start, stop in spans for place in range(start, stop)}
    assert {place for place, char in enumerate(text) if not char.isspace()} <= covered
    for start, stop in spans:
        (ids,) = tokens([text[start:stop]]).ids
        assert len(ids) - 2 <= 16, "beside the two special ones"


def test_chunks_that_overrun_the_encoder_are_flagged(
    tokens: TextTokens,
) -> None:
    """Dense text: 1,000 characters of digits and signs are far more than 256 tokens."""
    prose, dense = WORDS * 40, "p<0.05; 3.1±0.2, " * 120
    for text, rule, cut in (
        (prose, ChunkRule("paragraph", 1000), False), (dense, ChunkRule("paragraph", 1000), True),
        (prose, ChunkRule("paragraph", 5000), True), (dense, ChunkRule("sentence", 200), False),
        (prose, ChunkRule("tokens", 254), False), (dense, ChunkRule("tokens", 254), False),
        (dense, ChunkRule("tokens", 300), True),
    ):  # fmt: skip
        spans = chunk_spans(text, rule, tokens=tokens.spans)
        assert bool(tokens([text[start:stop] for start, stop in spans]).truncated.any()) == cut, rule
