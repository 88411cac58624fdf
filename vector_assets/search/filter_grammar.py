"""The text form of filters: ``price < 10 and not topic in (cs, 'data bases')``.

    filter     := both { "or" both }
    both       := one { "and" one }
    one        := "not" one | "(" filter ")" | field compared
    compared   := ("=" | "==" | "!=" | "<>" | "<" | "<=" | ">" | ">=" | "has") value
                | ["not"] "in" "(" value { "," value } ")" | "is" ["not"] "null"

A value of one word needs no quotes; others stand in single or double ones, doubled inside. A field with spaces or the
name of a keyword stands in double quotes. Keywords are read in any case. The field's type says what a value means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from vector_assets.errors import UserError
from vector_assets.search.filters import DEPTH, KEYWORDS, VALUES, Fields, Filter, Scalar, known, typed

_TOKEN = re.compile(
    r"\s*(?:(?P<end>$)|(?P<quoted>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")"
    r"|(?P<op>==|=|!=|<>|<=|<|>=|>)|(?P<mark>[(),])|(?P<word>[^\s()',\"=<>!]+))"
)
_OPS: Mapping[str, str] = {"==": "=", "<>": "!="}
_BRACKETS = DEPTH // 2  # each may add an or with ands in it
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Token:
    """``text`` without quotes; ``place`` counts from 1."""

    kind: Literal["end", "quoted", "op", "mark", "word"]
    text: str
    place: int
    double: bool = False

    @property
    def shown(self) -> str:
        """How a message names it."""
        return "the end" if self.kind == "end" else repr(self.text)

    @property
    def keyword(self) -> str:
        """The keyword that this is, in small letters, or nothing."""
        return self.text.lower() if self.kind == "word" and self.text.lower() in KEYWORDS else ""


def parse(text: str, fields: Fields) -> Filter:
    """Return the tree of a filter's text; raises UserError that names the place."""
    return _Parser(text, fields).whole()


class _Parser:
    def __init__(self, text: str, fields: Fields) -> None:
        self.text, self.fields = text, fields
        self.tokens = list(self._tokens())
        self.at = 0

    def whole(self) -> Filter:
        tree = self._any(0)
        if self._next.kind != "end":
            hint = "; a value of several words stands in quotes" if self._next.kind == "word" else ""
            raise self._error(self._next, f"found {self._next.shown}; expected and, or or the end{hint}")
        return tree

    def _tokens(self) -> list[_Token]:
        found, position = [], 0
        while True:
            match = _TOKEN.match(self.text, position)
            if match is None:
                place = position + len(self.text[position:]) - len(self.text[position:].lstrip()) + 1
                letter = self.text[place - 1]
                why = f"{letter} is not closed" if letter in "'\"" else f"found {letter!r}; expected != before a value"
                raise self._error(_Token("word", letter, place), why)
            kind = match.lastgroup or "end"
            text, place = match[kind], match.start(kind) + 1
            double = text.startswith('"')
            if kind == "quoted":
                text = text[1:-1].replace(text[0] * 2, text[0])
            found.append(_Token(kind, text, place, double))  # type: ignore[arg-type]
            if kind == "end":
                return found
            position = match.end()

    @property
    def _next(self) -> _Token:
        return self.tokens[self.at]

    def _take(self) -> _Token:
        token = self.tokens[self.at]
        self.at = min(self.at + 1, len(self.tokens) - 1)
        return token

    def _is_next(self, word: str) -> bool:
        """Take the next token if it is this keyword or mark."""
        token = self._next
        found = token.keyword == word or (token.kind == "mark" and token.text == word)
        if found:
            self._take()
        return found

    def _any(self, depth: int) -> Filter:
        parts = [self._all(depth)]
        while self._is_next("or"):
            parts.append(self._all(depth))
        return {"or": parts} if len(parts) > 1 else parts[0]

    def _all(self, depth: int) -> Filter:
        parts = [self._one(depth)]
        while self._is_next("and"):
            parts.append(self._one(depth))
        return {"and": parts} if len(parts) > 1 else parts[0]

    def _one(self, depth: int) -> Filter:
        token = self._next
        if depth >= _BRACKETS:
            raise self._error(token, f"{_BRACKETS} brackets or nots in one another; expected fewer")
        if self._is_next("not"):
            return {"not": self._one(depth + 1)}
        if self._is_next("("):
            tree = self._any(depth + 1)
            self._close("a bracket")
            return tree
        return self._compared(self._take())

    def _compared(self, token: _Token) -> Filter:
        if token.kind not in ("word", "quoted") or token.keyword or (token.kind == "quoted" and not token.double):
            raise self._error(token, f"found {token.shown}; expected a field, not or (")
        self._typed(token, lambda: known(token.text, self.fields))
        field, op = token.text, self._take()
        # No keyword, so that fields and values of that name need no quotes.
        if op.kind == "op" or (op.kind == "word" and op.text.lower() == "has"):
            name = _OPS.get(op.text, op.text.lower())
            return {"field": field, "op": name, "value": self._value(field)}
        denied = op.keyword == "not"
        if denied and self._next.keyword != "in":
            raise self._error(self._next, f"found {self._next.shown}; expected in after not")
        if denied:
            op = self._take()
        if op.keyword == "in":
            tree: Filter = {"field": field, "op": "in", "value": self._values(field)}
            return {"not": tree} if denied else tree
        if op.keyword == "is":
            denied = self._is_next("not")
            if not self._is_next("null"):
                raise self._error(self._next, f"found {self._next.shown}; expected null after is, or = for a value")
            tree = {"field": field, "op": "is", "value": None}
            return {"not": tree} if denied else tree
        raise self._error(op, f"found {op.shown} after {field}; expected one of = != < <= > >= has in is")

    def _values(self, field: str) -> list[Scalar]:
        if not self._is_next("("):
            raise self._error(self._next, f"found {self._next.shown}; expected ( after in")
        values = [self._value(field)]
        while self._is_next(","):
            values.append(self._value(field))
        if len(values) > VALUES:
            raise self._error(self._next, f"a list of {len(values)} values; expected {VALUES} at most")
        self._close("the list")
        return values

    def _value(self, field: str) -> Scalar:
        token = self._take()
        if token.keyword == "null":
            raise self._error(token, f"{field} is compared with null; expected {field} is null")
        if token.keyword:
            raise self._error(token, f"found {token.shown}; expected a value; in quotes where it is one")
        if token.kind not in ("word", "quoted"):
            raise self._error(
                token, f"found {token.shown}; expected a value, in quotes where it has other than letters"
            )
        return self._typed(token, lambda: typed(field, self.fields[field], token.text))

    def _close(self, what: str) -> None:
        if not self._is_next(")"):
            raise self._error(self._next, f"found {self._next.shown}; expected ) that closes {what}")

    def _typed(self, token: _Token, make: Callable[[], T]) -> T:
        """Let an error of a field or value name the place."""
        try:
            return make()
        except UserError as error:
            raise self._error(token, str(error)) from None

    def _error(self, token: _Token, why: str) -> UserError:
        text = " ".join(self.text.split())
        shown = text if len(text) <= 60 else text[:57] + "..."
        return UserError(f"filter {shown!r}, place {token.place}: {why}")
