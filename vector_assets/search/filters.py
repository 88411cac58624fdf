"""Filters: what rows a search may find, as a JSON tree over declared fields and the key.

``{"field": "topic", "op": "=", "value": "cs"}`` with the operators ``= != < <= > >= has in is``, put together by
``{"and": […]}``, ``{"or": […]}`` and ``{"not": …}``. A comparison with a value that is not there is neither true nor
false, as in SQL: ``topic != cs`` and ``not topic = cs`` both leave out rows without a topic; ``topic is null`` asks for
them. The text form is read by search/filter_grammar.py; Postgres makes the condition (sql/028_filter_values.sql).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypeAlias

from vector_assets.errors import UserError
from vector_assets.spec.field import FieldType

Scalar: TypeAlias = str | int | float
#: A comparison, or ``and``, ``or``, ``not`` over others.
Filter: TypeAlias = Mapping[str, object]
#: Fields that can be asked for, with their types; the key's columns among them.
Fields: TypeAlias = Mapping[str, FieldType]

COMPARISONS = ("=", "!=", "<", "<=", ">", ">=", "has")
#: How deep ``and``, ``or`` and ``not`` may stand in one another, and how many values ``in`` may have.
DEPTH, VALUES = 32, 10_000
KEYWORDS = frozenset(("and", "or", "not", "in", "is", "null"))

_BARE = re.compile(r"[^\W\d]\w*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def checked(tree: object, fields: Fields, *, depth: int = 0) -> Filter:
    """Return a tree with its values in the types of its fields; raises UserError where it is none."""
    if depth > DEPTH:
        raise UserError(f"filter: more than {DEPTH} levels; expected and, or and not that stand less deep")
    if not isinstance(tree, Mapping):
        raise UserError(f"filter: {_shown(tree)} is no condition; expected {{'field': …, 'op': …, 'value': …}}")
    if set(tree) in ({"and"}, {"or"}):
        ((name, parts),) = tree.items()
        if not isinstance(parts, Sequence) or isinstance(parts, str):
            raise UserError(f"filter: {name} has {_shown(parts)}; expected a list of conditions")
        return {name: [checked(part, fields, depth=depth + 1) for part in parts]}
    if set(tree) == {"not"}:
        return {"not": checked(tree["not"], fields, depth=depth + 1)}
    if set(tree) != {"field", "op", "value"}:
        raise UserError(f"filter: {_shown(dict(tree))}; expected the keys field, op and value, or one of and, or, not")
    return _comparison(tree["field"], tree["op"], tree["value"], fields)


def all_of(filters: Sequence[Filter]) -> Filter | None:
    """Put filters together that must hold at once; None where there is none."""
    if len(filters) > 1:
        return {"and": list(filters)}
    return filters[0] if filters else None


def typed(field: str, kind: FieldType, value: object) -> Scalar:
    """Return a value as the JSON tree has it for a field of this type; raises UserError.

    A time without a zone is UTC; a day without a time stays a day, which compares as its midnight.
    """
    if value is None:
        raise UserError(f"{field} is compared with null; expected a value, or {field} is null")
    if kind == "number":
        return _number(field, value)
    if kind == "datetime":
        return _time(field, value)
    if kind == "image":
        raise UserError(f"{field} is an image, which has no values to compare; expected another field")
    text = str(value).lower() if isinstance(value, bool) else str(value)  # as JSON and Postgres write it
    if isinstance(value, Mapping | list | tuple | bytes):
        raise UserError(f"{field}: {_shown(value)} is no {kind}; expected a text")
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise UserError(f"{field}: {_shown(text)} has letters that Postgres cannot hold; expected UTF-8 without NUL")
    return text


def known(field: object, fields: Fields) -> FieldType:
    """Return a field's type; raises UserError for one that is not declared or has no values to compare."""
    if not isinstance(field, str) or field not in fields:
        offered = ", ".join(name for name, kind in fields.items() if kind != "image")
        raise UserError(f"{_shown(field)} is not a field; expected one of {offered}")
    if fields[field] == "image":
        raise UserError(f"{field} is an image, which has no values to compare; expected another field")
    return fields[field]


def render(tree: Filter) -> str:
    """Return the text form of a tree; parsing it gives the tree again."""
    if "not" in tree:
        return f"not {_grouped(tree['not'])}"
    for word in ("and", "or"):
        if word in tree:
            parts = tree[word]
            assert isinstance(parts, Sequence)
            return f" {word} ".join(map(_grouped, parts))
    field, value = str(tree["field"]), tree["value"]
    name = field if _BARE.fullmatch(field) and field.lower() not in KEYWORDS else '"' + field.replace('"', '""') + '"'
    if tree["op"] == "is":
        return f"{name} is null"
    if tree["op"] == "in":
        assert isinstance(value, Sequence)
        return f"{name} in ({', '.join(map(_quoted, value))})"
    return f"{name} {tree['op']} {_quoted(value)}"


def _grouped(part: object) -> str:
    assert isinstance(part, Mapping)
    return f"({render(part)})" if "and" in part or "or" in part else render(part)


def _quoted(value: object) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _comparison(field: object, op: object, value: object, fields: Fields) -> Filter:
    kind = known(field, fields)
    name = str(field)
    if op == "is":
        if value is not None:
            raise UserError(f"{name} is {_shown(value)}; expected null after is, or = for a value")
        return {"field": name, "op": "is", "value": None}
    if op == "in":
        if not isinstance(value, Sequence | set | frozenset) or isinstance(value, str | bytes):
            raise UserError(f"{name} in {_shown(value)}; expected a list of values")
        if len(value) > VALUES:
            raise UserError(f"{name} in a list of {len(value)} values; expected {VALUES} at most")
        return {"field": name, "op": "in", "value": [typed(name, kind, one) for one in value]}
    if op not in COMPARISONS:
        raise UserError(f"{name}: {_shown(op)} is no operator; expected one of {' '.join(COMPARISONS)} in is")
    return {"field": name, "op": str(op), "value": typed(name, kind, value)}


def _number(field: str, value: object) -> int | float:
    number: int | float | None = None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        number = int(value) if re.fullmatch(r"[+-]?\d{1,400}", value) else float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    if number is None or (isinstance(number, float) and not math.isfinite(number)):
        raise UserError(f"{field} is a number, found {_shown(value)}; expected one such as 10 or 2.5")
    return number


def _time(field: str, value: object) -> str:
    try:
        if isinstance(value, datetime):
            moment: datetime | date = value
        elif isinstance(value, date):
            moment = value
        else:
            text = str(value)
            day = len(text) <= 10 and ":" not in text and "T" not in text.upper()
            moment = date.fromisoformat(text) if day else datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"{field} is a time, found {_shown(value)}; expected one such as 2024-01-31 or 2024-01-31T12:00:00+01:00"
        ) from None
    if not isinstance(moment, datetime):
        return moment.isoformat()
    try:
        return (moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat()
    except OverflowError:
        raise UserError(f"{field}: {_shown(value)} lies outside the years 1 to 9999; expected another time") from None


def _shown(value: object) -> str:
    """A value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
