"""Values of declared types, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vector_assets.errors import SourceError
from vector_assets.records import KeyColumn
from vector_assets.source.keys import parse_key, row_key
from vector_assets.source.storable import is_storable, storable
from vector_assets.source.values import WrongValue, convert, convert_cell
from vector_assets.spec.field import FieldType


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "a", "a"),
        ("text", None, None),
        ("text", "", ""),
        ("category", 7, "7"),
        ("category", True, "true"),
        ("number", 3, 3.0),
        ("number", Decimal("1.5"), 1.5),
        ("datetime", "2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("datetime", "2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
        ("datetime", "2026-01-31T10:00:00Z", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("datetime", date(2026, 1, 31), datetime(2026, 1, 31, tzinfo=UTC)),
        ("datetime", datetime(2026, 1, 31, 5), datetime(2026, 1, 31, 5, tzinfo=UTC)),
    ],
)
def test_values_become_their_type(kind: FieldType, value: object, expected: object) -> None:
    found = convert(value, kind)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("text", 5, "expected text, found the number 5"),
        ("text", ["a"], "expected text, found a list"),
        ("text", "a\x00", "expected text that Postgres can store, found a NUL character at position 1"),
        ("category", 1.5, "expected text, found the number 1.5"),
        ("number", "5", "expected a number, found the text '5'"),
        ("number", True, "expected a number, found the boolean true"),
        ("number", math.nan, "expected a finite number, found nan"),
        ("number", 10**400, "expected a finite number, found 1000"),
        ("datetime", "tomorrow", "expected an ISO 8601 date or time, found the text 'tomorrow'"),
        ("datetime", 1700000000, "expected an ISO 8601 date or time, found the number 1700000000"),
        (
            "datetime",
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))),
            "expected a time between the years 1 and 9999 in UTC, found 0001-01-01 00:00:00+05:00",
        ),
    ],
)
def test_what_is_not_of_the_type_is_refused_with_both_named(kind: FieldType, value: object, message: str) -> None:
    with pytest.raises(WrongValue) as caught:
        convert(value, kind)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("cell", ["1_000", "nan", "inf", "0x10", "1,5", "\u0661\u0662"])
def test_cells_that_python_alone_would_take_for_numbers_are_refused(cell: str) -> None:
    with pytest.raises(WrongValue):
        convert_cell(cell, "number")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_survives_a_cell(number: float) -> None:
    assert convert_cell(repr(number), "number") == number


@given(st.text())
def test_storable_text_is_utf8_without_nul_and_what_was_storable_is_unchanged(text: str) -> None:
    mended = storable(text + "\ud800\x00")
    assert is_storable(mended)
    assert "\x00" not in mended
    mended.encode()
    assert mended[:-2] == text or not is_storable(text)


@given(st.lists(st.one_of(st.text(), st.integers()), min_size=2, max_size=4))
def test_a_row_key_reads_back_as_the_key(parts: list[str | int]) -> None:
    columns = [KeyColumn(f"k{n}", "bigint" if isinstance(part, int) else "text") for n, part in enumerate(parts)]
    assert parse_key(row_key(tuple(parts)), columns, "here") == tuple(parts)


def test_row_keys_are_compact_json() -> None:
    assert row_key(("4983",)) == '["4983"]'
    assert row_key((4983, 'ü"')) == '[4983,"ü\\""]'
    with pytest.raises(SourceError, match=r"^qrels:3: key '5'; expected a JSON array of a, b$"):
        parse_key("5", [KeyColumn("a", "text"), KeyColumn("b", "text")], "qrels:3")
    with pytest.raises(SourceError, match=r"^qrels:3: key 'x'; a is bigint, expected a whole number$"):
        parse_key("x", [KeyColumn("a", "bigint")], "qrels:3")
