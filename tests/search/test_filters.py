"""Filters: their text, their tree, and what is said where one is wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vector_assets.errors import UserError
from vector_assets.search.filter_grammar import parse
from vector_assets.search.filters import COMPARISONS, all_of, checked, render
from vector_assets.spec.field import FieldType

FIELDS: dict[str, FieldType] = {
    "id": "number", "topic": "category", "price": "number", "published": "datetime", "body": "text",
    "has": "category", "two words": "category", 'q"uote': "category", "not": "category", "größe": "number",
    "picture": "image",
}  # fmt: skip


def compared(field: str, op: str, value: object) -> dict[str, object]:
    return {"field": field, "op": op, "value": value}


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("topic=cs", compared("topic", "=", "cs")),
        (" topic  ==  'c''s' ", compared("topic", "=", "c's")),
        ('topic = "c""s"', compared("topic", "=", 'c"s')),
        ("topic <> 7", compared("topic", "!=", "7")),
        ("price<10", compared("price", "<", 10)),
        ("price >= -1.5e3", compared("price", ">=", -1500.0)),
        ("price = '10'", compared("price", "=", 10)),
        ("id = 9007199254740993", compared("id", "=", 9007199254740993)),
        ("published >= 2024-01-01", compared("published", ">=", "2024-01-01")),
        ("published < 2024-01-01T12:00+02:00", compared("published", "<", "2024-01-01T10:00:00+00:00")),
        ("published < '2024-01-01 12:00'", compared("published", "<", "2024-01-01T12:00:00+00:00")),
        ("topic IS NULL", compared("topic", "is", None)),
        ("topic is not null", {"not": compared("topic", "is", None)}),
        ("topic in (a, 'b c',d)", compared("topic", "in", ["a", "b c", "d"])),
        ("topic not in (a)", {"not": compared("topic", "in", ["a"])}),
        ('"two words" = x', compared("two words", "=", "x")),
        ('"q""uote" = x', compared('q"uote', "=", "x")),
        ('"not" = x', compared("not", "=", "x")),
        ("größe > 3", compared("größe", ">", 3)),
        ("topic HAS cs", compared("topic", "has", "cs")),
        (
            "not topic has 'c s' and price has 3",
            {"and": [{"not": compared("topic", "has", "c s")}, compared("price", "has", 3)]},
        ),
        ("has = has", compared("has", "=", "has")),
        ("has has has", compared("has", "has", "has")),
        ("topic = and-so-on", compared("topic", "=", "and-so-on")),
        (
            "price < 10 and not topic in (a, 'b c') or body = x",
            {
                "or": [
                    {"and": [compared("price", "<", 10), {"not": compared("topic", "in", ["a", "b c"])}]},
                    compared("body", "=", "x"),
                ]
            },
        ),
        (
            "price<1 and (topic=a or topic=b) and body=c",
            {
                "and": [
                    compared("price", "<", 1),
                    {"or": [compared("topic", "=", "a"), compared("topic", "=", "b")]},
                    compared("body", "=", "c"),
                ]
            },
        ),
    ],
)
def test_what_a_text_means(text: str, tree: dict[str, object]) -> None:
    assert parse(text, FIELDS) == tree
    assert checked(tree, FIELDS) == tree


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "filter '', place 1: found the end; expected a field, not or ("),
        ("topic", "filter 'topic', place 6: found the end after topic; expected one of = != < <= > >= has in is"),
        ("topic =", "filter 'topic =', place 8: found the end; expected a value, in quotes where"),
        ("price = ten", "filter 'price = ten', place 9: price is a number, found 'ten'; expected one such as 10"),
        ("price = nan", "price is a number, found 'nan'"),
        ("price = 1e999", "price is a number, found '1e999'"),
        ("published > soon", "place 13: published is a time, found 'soon'; expected one such as 2024-01-31"),
        ("published > 0001-01-01T00:00+05:00", "lies outside the years 1 to 9999"),
        ("topc = cs", "place 1: 'topc' is not a field; expected one of id, topic, price,"),
        ("picture = cs", "place 1: picture is an image, which has no values to compare"),
        ("topic = machine learning", "place 17: found 'learning'; expected and, or or the end; a value of several"),
        ("topic = null", "place 9: topic is compared with null; expected topic is null"),
        ("topic = or", "place 9: found 'or'; expected a value; in quotes where it is one"),
        ("topic is cs", "place 10: found 'cs'; expected null after is, or = for a value"),
        ("topic in a", "place 10: found 'a'; expected ( after in"),
        ("topic in (a", "place 12: found the end; expected ) that closes the list"),
        ("topic in ()", "place 11: found ')'; expected a value"),
        ("(topic = a", "place 11: found the end; expected ) that closes a bracket"),
        ("topic = a)", "place 10: found ')'; expected and, or or the end"),
        ("topic = 'a", "place 9: ' is not closed"),
        ("topic ! a", "place 7: found '!'; expected != before a value"),
        ("topic has", "place 10: found the end; expected a value"),
        ("price has cs", "place 11: price is a number, found 'cs'"),
        ("topic not a", "place 11: found 'a'; expected in after not"),
        ("'topic' = a", "place 1: found 'topic'; expected a field, not or ("),
        ("not " * 40 + "topic = a", "16 brackets or nots in one another; expected fewer"),
        ("topic = 'a\0'", "has letters that Postgres cannot hold"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_its_place(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, FIELDS)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (None, "filter: None is no condition"),
        ({}, "filter: {}; expected the keys field, op and value, or one of and, or, not"),
        ({"and": []} | {"or": []}, "expected the keys field, op and value"),
        ({"and": "topic"}, "filter: and has 'topic'; expected a list of conditions"),
        (compared("topic", "like", "a%"), "topic: 'like' is no operator; expected one of = != < <= > >= has in is"),
        (compared("topic", "=", None), "topic is compared with null; expected a value, or topic is null"),
        (compared("topic", "=", ["a"]), "topic: ['a'] is no category; expected a text"),
        (compared("topic", "in", "abc"), "topic in 'abc'; expected a list of values"),
        (compared("topic", "in", [None]), "topic is compared with null"),
        (compared("topic", "is", "x"), "topic is 'x'; expected null after is, or = for a value"),
        (compared("price", "=", True), "price is a number, found True"),
        (compared("price", "=", float("inf")), "price is a number, found inf"),
        (compared("topic", "in", ["a"] * 10_001), "topic in a list of 10001 values; expected 10000 at most"),
        (compared("topic", "=", "\ud800"), "has letters that Postgres cannot hold"),
    ],
)
def test_a_tree_is_held_to_the_declaration(tree: object, message: str) -> None:
    with pytest.raises(UserError) as caught:
        checked(tree, FIELDS)
    assert message in str(caught.value)


def test_a_tree_that_is_too_deep_is_refused() -> None:
    tree: Any = compared("topic", "=", "a")
    for _ in range(32):
        tree = {"not": tree}
    assert checked(tree, FIELDS) == tree
    with pytest.raises(UserError, match="more than 32 levels"):
        checked({"not": tree}, FIELDS)


def test_times_of_python_are_understood() -> None:
    moment = datetime(2024, 1, 1, 12, tzinfo=UTC)
    assert checked(compared("published", "<", moment), FIELDS)["value"] == "2024-01-01T12:00:00+00:00"
    assert checked(compared("published", "<", date(2024, 1, 1)), FIELDS)["value"] == "2024-01-01"


def test_truth_is_what_postgres_and_json_call_it() -> None:
    assert checked(compared("topic", "=", True), FIELDS)["value"] == "true"
    assert checked(compared("topic", "in", [False, "x"]), FIELDS)["value"] == ["false", "x"]
    assert parse(render(checked(compared("topic", "=", True), FIELDS)), FIELDS) == compared("topic", "=", "true")


def test_several_filters_must_hold_at_once() -> None:
    one, other = compared("topic", "=", "a"), compared("price", "<", 1)
    assert (all_of([]), all_of([one]), all_of([one, other])) == (None, one, {"and": [one, other]})


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
values = {
    "category": texts,
    "text": texts,
    "number": st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False),
    "datetime": st.dates().map(date.isoformat)
    | st.datetimes(datetime(2, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat),
}


@st.composite
def comparisons(draw: st.DrawFn) -> dict[str, object]:
    field = draw(st.sampled_from([name for name, kind in FIELDS.items() if kind != "image"]))
    some = values[FIELDS[field]]
    return draw(
        st.one_of(
            st.builds(compared, st.just(field), st.sampled_from(COMPARISONS), some),
            st.builds(compared, st.just(field), st.just("in"), st.lists(some, min_size=1, max_size=4)),
            st.just(compared(field, "is", None)),
        )
    )


trees = st.recursive(
    comparisons(),
    lambda inner: (
        st.builds(lambda part: {"not": part}, inner)
        | st.builds(
            lambda word, parts: {word: parts}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=4)
        )
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(trees)
def test_the_text_of_a_tree_is_read_as_that_tree(tree: dict[str, object]) -> None:
    assert checked(tree, FIELDS) == tree
    assert parse(render(tree), FIELDS) == tree


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("topicprice =<>!()'\",12andornt\n")))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        tree = parse(text, FIELDS)
    except UserError:
        return
    assert parse(render(tree), FIELDS) == tree
