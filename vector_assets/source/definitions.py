"""Functions, methods and classes of one Python file, from its syntax tree. Nothing is imported or run."""

from __future__ import annotations

import ast
import inspect
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_COMPOUND = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.With, ast.AsyncWith, ast.Try, ast.TryStar, ast.Match)
_SENTENCE_END = re.compile(r"[.!?](?=\s+[^a-z\s])")
_ATTRIBUTE = 200

Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Definition:
    """One function, method or class under its ``__qualname__``."""

    qualname: str
    kind: Literal["function", "method", "class"]
    node: Node

    @cached_property
    def docstring(self) -> str | None:
        """The docstring without its indentation, None when it is missing or blank."""
        raw = ast.get_docstring(self.node, clean=False)
        return (inspect.cleandoc(raw).strip() or None) if raw else None

    @property
    def summary(self) -> str | None:
        """The first sentence of the docstring on one line."""
        if self.docstring is None:
            return None
        paragraph = " ".join(re.split(r"\n\s*\n", self.docstring, maxsplit=1)[0].split())
        end = _SENTENCE_END.search(paragraph)
        return paragraph[: end.end()] if end else paragraph

    @property
    def signature(self) -> str:
        """The line that opens the definition, without decorators and colon."""
        return _signature(self.node)

    @property
    def body(self) -> str:
        """The code without signature and docstring. Of a class: attributes, and signatures of what it defines."""
        statements = self.node.body[1:] if ast.get_docstring(self.node, clean=False) is not None else self.node.body
        if isinstance(self.node, ast.ClassDef):
            return "\n".join(line for statement in statements for line in _outline(statement))
        return "\n".join(map(ast.unparse, statements))

    @property
    def lines(self) -> int:
        """How many lines it takes, decorators left out."""
        return (self.node.end_lineno or self.node.lineno) - self.node.lineno + 1


@dataclass
class _Scope:
    definition: Definition
    inner: dict[str, _Scope] = field(default_factory=dict)


def parse_definitions(source: bytes) -> list[Definition]:
    """Return the definitions of a file, outer before inner, in the order of the file.

    Of several with one name in one scope the last stays, as it does when Python runs the file; a property's setter
    replaces nothing. Raises SyntaxError, ValueError or RecursionError for what is not Python.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in other people's strings
        tree = ast.parse(source)
    return list(_flat(_scopes(tree.body, "", in_class=False)))


def _scopes(body: list[ast.stmt], prefix: str, *, in_class: bool) -> dict[str, _Scope]:
    scopes: dict[str, _Scope] = {}
    for node in _definitions(body):
        if node.name in scopes and _is_accessor(node):
            continue
        qualname = prefix + node.name
        is_class = isinstance(node, ast.ClassDef)
        kind: Literal["function", "method", "class"] = "class" if is_class else "method" if in_class else "function"
        inner = _scopes(node.body, qualname + ("." if is_class else ".<locals>."), in_class=is_class)
        scopes.pop(node.name, None)
        scopes[node.name] = _Scope(Definition(qualname, kind, node), inner)
    return scopes


def _definitions(body: list[ast.stmt]) -> Iterator[Node]:
    for statement in body:
        if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
            yield statement
        elif isinstance(statement, _COMPOUND):
            for block in _blocks(statement):
                yield from _definitions(block)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Return the statement lists of if, for, while, with, try and match."""
    for name in ("body", "orelse", "handlers", "cases", "finalbody"):
        block = getattr(statement, name, None)
        if name in ("handlers", "cases"):
            yield from (part.body for part in block or ())
        elif block:
            yield block


def _flat(scopes: dict[str, _Scope]) -> Iterator[Definition]:
    for scope in scopes.values():
        yield scope.definition
        yield from _flat(scope.inner)


def _is_accessor(node: Node) -> bool:
    return any(
        isinstance(mark, ast.Attribute)
        and mark.attr in ("setter", "deleter")
        and isinstance(mark.value, ast.Name)
        and mark.value.id == node.name
        for mark in node.decorator_list
    )


def _signature(node: Node) -> str:
    if isinstance(node, ast.ClassDef):
        bases = ", ".join(map(ast.unparse, [*node.bases, *node.keywords]))
        return f"class {node.name}({bases})" if bases else f"class {node.name}"
    start = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    return f"{start} {node.name}({ast.unparse(node.args)}){returns}"


def _outline(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, (*_FUNCTIONS, ast.ClassDef)):
        yield from (f"@{ast.unparse(mark)}" for mark in statement.decorator_list)
        yield f"{_signature(statement)}: ..."
        return
    blocks = list(_blocks(statement)) if isinstance(statement, _COMPOUND) else []
    for block in blocks:
        for inner in block:
            yield from _outline(inner)
    is_string = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    if not blocks and not is_string:
        code = ast.unparse(statement)
        yield code if len(code) <= _ATTRIBUTE else f"{code[:_ATTRIBUTE]}..."
