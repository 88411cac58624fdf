"""``lexical``: a list of fields, or its keys; what is wrong is one line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vector_assets.spec import Collection, Lexical


def declared(lexical: object) -> Collection:
    return Collection.model_validate(
        {
            "name": "papers",
            "source": {"kind": "file", "path": "papers.jsonl"},
            "fields": {"title": "text", "topic": "category", "year": "number"},
            "spaces": {"text": {"fields": ["title"]}},
            "lexical": lexical,
        }
    )


def test_a_list_of_fields_is_short_for_the_keys() -> None:
    assert declared(["title", "topic"]).lexical == Lexical(fields=["title", "topic"])
    assert declared(None).lexical is None
    whole = {"fields": ["title"], "language": "german", "stop_words": False, "k1": 0.9, "b": 0.4}
    assert declared(whole).lexical == Lexical.model_validate(whole)


@pytest.mark.parametrize(
    ("lexical", "said"),
    [
        (["titel"], "lexical.fields: titel is not a declared field; expected one of title, topic, year"),
        (["title", "year"], "lexical.fields: year is of type number; expected text or category fields"),
        (["title", "title"], "lexical.fields: title stands twice"),
        ([], "at least 1 item"),
        ("title", "valid dictionary or instance of Lexical"),
        ({"fields": ["title"], "language": "klingon"}, "'none', 'arabic'"),
        ({"fields": ["title"], "k1": -1}, "greater than or equal to 0"),
        ({"fields": ["title"], "b": 1.5}, "less than or equal to 1"),
        ({"fields": ["title"], "stemmer": "x"}, "Extra inputs are not permitted"),
    ],
)
def test_what_is_wrong_is_said(lexical: object, said: str) -> None:
    with pytest.raises(ValidationError) as error:
        declared(lexical)
    assert said in str(error.value)
