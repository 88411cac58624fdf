"""What a chunking may say, by kind: the rest is refused in one line with what was expected."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vector_assets.spec import Chunking, Collection, TextSpace

ENCODED = {"fields": ["body"]}


def said(error: pytest.ExceptionInfo[ValidationError]) -> str:
    return " ".join(str(error.value).split())


@pytest.mark.parametrize(
    ("chunk", "expected"),
    [
        ({"roll_up": "mean"}, "roll_up: stands without by"),
        (
            {"by": "window", "overlap": 10},
            "overlap: is not read by window; expected it with by: sentence or",
        ),
        ({"by": "sentence", "sentences": 2}, "sentences: is not read by sentence; expected it with by: window"),
        ({"by": "paragraph", "stride": 2}, "stride: is not read by paragraph; expected it with by: window"),
        ({"by": "window", "sentences": 2, "stride": 3}, "stride: found 3, more than the 2 sentences of a window"),
        ({"by": "markdown", "language": "python"}, "language: is not read by markdown; expected it with by: code or"),
        ({"by": "code", "language": "go"}, "language: found go; expected python"),
        ({"by": "sentence", "splitter": "spacy"}, "language: stands not beside splitter: spacy; expected a code"),
        ({"by": "sentence", "splitter": "rules", "language": "de"}, "language: is not read by sentence"),
        ({"by": "sentence", "splitter": "spacy", "language": "../de"}, "String should match pattern"),
        ({"by": "tokens", "splitter": "spacy", "language": "de"}, "splitter: is not read by tokens; expected it with"),
        ({"by": "sentence", "size": 10}, "size: found 10; expected at least 20 characters"),
        ({"by": "tokens", "size": 4}, "greater than or equal to 8"),
        ({"by": "tokens", "size": 64, "overlap": 40}, "overlap: found 40; expected at most half the size of 64"),
        ({"by": "sentence", "top": 3}, "top: stands without roll_up: mean"),
        ({"by": "sentence", "roll_up": "mean", "top": 1}, "greater than or equal to 2"),
    ],
)
def test_what_a_kind_does_not_read_is_refused(chunk: dict[str, object], expected: str) -> None:
    with pytest.raises(ValidationError) as error:
        Chunking.model_validate(chunk)
    assert expected in said(error)


def test_what_was_left_out_is_filled_in() -> None:
    window = Chunking.model_validate({"by": "window", "roll_up": "mean"})
    assert (window.limit, window.window, window.step, window.best) == (1000, 3, 1, 3)
    assert (Chunking(by="tokens").limit, Chunking(by="code").limit, Chunking(by="tokens").best) == (128, 700, 1)


def test_tokens_beyond_what_the_encoder_reads_are_refused() -> None:
    chunk = {"by": "tokens", "size": 64}
    assert TextSpace.model_validate({**ENCODED, "max_tokens": 66, "chunk": chunk})
    with pytest.raises(ValidationError) as error:
        TextSpace.model_validate({**ENCODED, "max_tokens": 64, "chunk": chunk})
    assert "64 tokens are more than max_tokens 64 leaves beside the special ones; expected 62 at most" in said(error)
    with pytest.raises(ValidationError) as error:
        TextSpace.model_validate({**ENCODED, "encoder": "provider:some", "chunk": chunk})
    assert "the tokens of provider:some are its provider's; expected another kind" in said(error)


def collection(**evaluation: object) -> Collection:
    return Collection.model_validate(
        {
            "name": "papers",
            "source": {"kind": "postgres", "table": "papers"},
            "fields": {"title": "text", "body": "text"},
            "spaces": {"a": {"fields": ["title"]}, "b": {"fields": ["body"], "chunk": {"by": "sentence"}}},
            "evaluation": evaluation,
        }
    )


def test_chunkings_to_compare_are_of_the_chunked_space_and_leave_the_declared_name_alone() -> None:
    assert collection(chunkings={"one": {"by": "window"}}).chunked_space == "b"
    with pytest.raises(ValidationError) as error:
        collection(chunkings={"declared": {"by": "window"}})
    assert "declared is the space's own" in said(error)
