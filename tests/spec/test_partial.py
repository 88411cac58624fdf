"""``index.partial``: values in the types of their fields, and one line for each that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from vector_assets.errors import UserError
from vector_assets.spec import Collection
from vector_assets.spec.load import load_text
from vector_assets.spec.partial import PartialIndex

TEXT = """type: vector_assets.CollectionComponent
attributes:
  name: c
  source: {{kind: file, path: a.jsonl}}
  fields: {{title: text, topic: category, price: number, at: datetime}}
  filters: [topic, price, at]
  spaces: {{text: {{fields: [title]}}}}
  index: {index}
"""


def load(index: str) -> Collection:
    return load_text(TEXT.format(index=index), "c.yaml", Path())


def test_values_have_the_types_of_their_fields() -> None:
    collection = load("{partial: {topic: [cs, 5, 'two words'], price: [3, 2.0, 2.5]}}")
    assert collection.partial_indexes == tuple(
        PartialIndex(field, value)
        for field, value in (
            ("topic", "cs"), ("topic", "5"), ("topic", "two words"), ("price", 3), ("price", 2), ("price", 2.5)
        )
    )  # fmt: skip
    assert load("{recall: 0.9}").partial_indexes == ()


def test_names_are_short_and_differ() -> None:
    table = "a" * 40 + "_g99999"
    indexes = [PartialIndex("topic", "5"), PartialIndex("topic", 5), PartialIndex("other", "5"), PartialIndex("t", "ü")]
    names = {each.name(table) for each in indexes}
    assert len(names) == len(indexes) and all(len((name + "_new").encode()) <= 63 for name in names)
    assert names == {each.name(table) for each in indexes}, "the same every time"


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ("{partial: {title: [a]}}", "partial.title: is not among filters, whose columns are copied beside the vectors; "
         "expected one of topic, price, at"),
        ("{partial: {topic: [1.5]}}", "partial.topic: 1.5 is no category; expected a text, in quotes where YAML reads"),
        ("{partial: {price: [x]}}", "partial.price: 'x' is no number; expected values such as 3 or 2.5"),
        ("{partial: {at: ['2024-01-31']}}", "partial.at: is of type datetime; expected a field of type category, text"),
        ("{partial: {topic: []}}", "partial.topic: names no value; expected at least one"),
        ("{partial: {topic: [a, a]}}", "partial.topic: 'a' stands twice; expected it once"),
        ("{partial: {price: [1, 1.0]}}", "partial.price: 1.0 stands twice; expected it once"),
        (f"{{partial: {{price: {list(range(21))}}}}}", "partial: names more than 20 values, each of which costs every"),
        ("{partial: [topic]}", "partial: found a list; expected a mapping"),
        ("{type: ivfflat, partial: {topic: [a]}}", "partial: is not offered with type ivfflat; expected type hnsw"),
        ("{type: exact, partial: {topic: [a]}}", "partial: is not offered with type exact; expected type hnsw"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_with_its_place(index: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        load(index)
    assert str(error.value).startswith(f"c.yaml:8: index.{said}") and "\n" not in str(error.value)
