"""The kinds of chunks on their way into Postgres: the encoder's own tokens, code that is none, sections."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest
from fakes import Declare, Execute, FakeStore, KeywordEncoder

from vector_assets.embedding.encoding import token_spans_of
from vector_assets.embedding.layout import SpaceEncoder, plan_layout, rule_of
from vector_assets.embedding.text import row_headings
from vector_assets.errors import EncoderError
from vector_assets.records import Encoder, Part
from vector_assets.search.hits import passage
from vector_assets.spec import Chunking
from vector_assets.stores.workspace import Workspace

Make = Callable[..., FakeStore]


@pytest.fixture
def make(workspace: Workspace, declare: Declare, execute: Execute, name: str) -> Make:
    """A store over one table with these bodies, cut in some way."""

    def store(chunk: dict[str, object], *bodies: str, encoder: KeywordEncoder | None = None) -> FakeStore:
        execute(f"create table if not exists {name} (id bigint primary key, title text, body text, topic text, "
                "price float8)")  # fmt: skip
        for number, body in enumerate(bodies, start=1):
            execute(f"insert into {name} values (%s, 'x', %s, 't', 1)", (number, body))
        spaces = {"text": {"fields": ["body"], "chunk": chunk}}
        return FakeStore(workspace, declare(spaces=spaces), encoder or KeywordEncoder())

    return store


def pieces(execute: Execute, store: FakeStore, name: str) -> list[tuple[object, ...]]:
    return execute(
        f"select substr(r.body, v.start_offset + 1, v.stop_offset - v.start_offset) "
        f'from embedding."{store.all()[0].table}" v join {name} r on r.id = v.k1 order by v.k1, v.chunk_no'
    )


def test_offsets_of_tokens_are_characters_of_the_row(make: Make, execute: Execute, name: str) -> None:
    store = make({"by": "tokens", "size": 8}, "One 👩\u200d🔬 two, three\r\nfour five six seven eight cat nine.")
    report = store.embed().latest
    found = [str(row[0]) for row in pieces(execute, store, name)]
    assert report.chunks_encoded == len(found) == 2
    assert store.chosen["text"].encoded == found
    assert found[0].startswith("One 👩") and found[1].endswith("cat nine.")


def test_an_edit_takes_over_the_chunks_by_tokens_before_it(make: Make, execute: Execute, name: str) -> None:
    words = " ".join(f"word{number}" for number in range(64))
    store = make({"by": "tokens", "size": 8}, words)
    assert store.embed().latest.chunks_encoded == 8
    execute(f"update {name} set body = body || ' more'")
    report = store.embed().latest
    assert (report.chunks_encoded, report.chunks_reused) == (1, 8)


def test_an_encoder_without_tokens_is_refused_in_one_line() -> None:
    """As one that a provider computes, which does not tell how it splits a text."""
    assert token_spans_of(KeywordEncoder(), "text")("A cat.") == [(0, 1), (2, 5), (5, 6)]
    with pytest.raises(EncoderError, match=r"does not tell its tokens; expected another chunk\.by than tokens"):
        token_spans_of(cast(Encoder, object()), "text")


def test_rows_whose_code_is_none_are_counted(make: Make, execute: Execute, name: str) -> None:
    store = make({"by": "code"}, "def cat():\n    return 1\n\n\ndef dog():\n    return 2", "Not code, you see.")
    report = store.embed().latest
    assert (report.encoded, report.unparsed, report.failed) == (2, 1, 0)
    assert [str(row[0]).splitlines()[0] for row in pieces(execute, store, name)] == [
        "def cat():", "def dog():", "Not code, you see.",
    ]  # fmt: skip


def test_what_the_encoder_cuts_off_is_counted_with_the_generation(make: Make) -> None:
    store = make({"by": "paragraph"}, "short.\n\nA long one.", "Another long one.")
    assert store.embed().latest.truncated == 2, "rows"
    assert store.workspace.embeddings.truncated(store.all()[0]) == 2, "chunks"


def test_a_passage_of_markdown_knows_its_headings() -> None:
    values = ["# not of the body", "# One\n\nText.\n\n## Two\n\nMore."]
    text = "\n".join(values)
    assert row_headings(values, text.index("More")) == ("One", "Two")
    part = Part("text", 0, 5, "c", ("title", "body"), rule_of(Chunking(by="markdown")))
    row = dict(zip(part.fields, values, strict=True))
    found = passage(part, row, number=2, start=text.index("## Two"), stop=len(text), digest=b"")
    assert found is not None
    assert (found.headings, found.stale) == (("One", "Two"), True)


def test_what_came_later_is_in_no_older_digest(declare: Declare) -> None:
    """Of sentence and paragraph the meaning is what it was; of windows their length and step are in it."""
    assert rule_of(Chunking(by="sentence")).meaning() == {"by": "sentence", "size": 200, "overlap": 0}  # type: ignore[union-attr]
    assert set(rule_of(Chunking(by="window")).meaning()) == {"by", "size", "overlap", "sentences", "stride"}  # type: ignore[union-attr]
    digests = set()
    mean = {"by": "sentence", "roll_up": "mean"}
    for chunk in ({"by": "sentence"}, mean, {**mean, "top": 5}):
        spaces = {"text": {"fields": ["body"], "chunk": chunk}}
        digests.add(plan_layout(declare(spaces=spaces), {"text": SpaceEncoder("c", 5)}).checkpoint_set)
    assert len(digests) == 1, "how scores are made is a matter of the question"
    window = {"by": "window"}
    for chunk in (window, {**window, "sentences": 2}, {**window, "stride": 2}, {"by": "markdown"}, {"by": "code"}):
        spaces = {"text": {"fields": ["body"], "chunk": chunk}}
        digests.add(plan_layout(declare(spaces=spaces), {"text": SpaceEncoder("c", 5)}).checkpoint_set)
    assert len(digests) == 6
