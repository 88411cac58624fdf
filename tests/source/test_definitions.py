"""Definitions of one Python file: names, kinds, summaries, bodies, and which of several stays."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vector_assets.source.definitions import Definition, parse_definitions


def parse(source: str) -> dict[str, Definition]:
    return {found.qualname: found for found in parse_definitions(textwrap.dedent(source).encode())}


def test_nested_definitions_carry_the_qualname_python_gives_them() -> None:
    source = """
    def outer():
        class Inner:
            def method(self): ...
        def helper(): ...

    class Top:
        class Nested:
            async def run(self): ...

    if True:
        def conditional(): ...
    try:
        import nothing
    except ImportError:
        def fallback(): ...
    match 1:
        case 1:
            def matched(): ...
    """
    namespace: dict[str, object] = {}
    exec(textwrap.dedent(source).replace("import nothing", "raise ImportError"), namespace)
    found = parse(source)
    assert [(name, one.kind) for name, one in found.items()] == [
        ("outer", "function"),
        ("outer.<locals>.Inner", "class"),
        ("outer.<locals>.Inner.method", "method"),
        ("outer.<locals>.helper", "function"),
        ("Top", "class"),
        ("Top.Nested", "class"),
        ("Top.Nested.run", "method"),
        ("conditional", "function"),
        ("fallback", "function"),
        ("matched", "function"),
    ]
    top = namespace["Top"]
    assert isinstance(top, type)
    assert top.Nested.run.__qualname__ in found  # type: ignore[attr-defined]


def test_the_last_of_a_name_stays_with_what_it_defines_and_a_setter_replaces_nothing() -> None:
    found = parse("""
    class Box:
        def gone(self): "Of the first."

    class Box:
        @property
        def size(self): "Read it."
        @size.setter
        def size(self, value): "Write it."
        @overload
        def get(self, key: int): ...
        def get(self, key): "The real one."
    """)
    assert list(found) == ["Box", "Box.size", "Box.get"]
    assert found["Box.size"].docstring == "Read it."
    assert found["Box.get"].docstring == "The real one."


@pytest.mark.parametrize(
    ("docstring", "summary"),
    [
        ("Add two numbers. Then some.", "Add two numbers."),
        ("Add, e.g. two numbers. Then.", "Add, e.g. two numbers."),
        ("Add two\n    numbers\n\n    More. Text.", "Add two numbers"),
        ("Is it? Yes.", "Is it?"),
        ("Version 1.2 of it", "Version 1.2 of it"),
        ("   ", None),
    ],
)
def test_the_summary_is_the_first_sentence_on_one_line(docstring: str, summary: str | None) -> None:
    assert parse(f'def f():\n    """{docstring}"""')["f"].summary == summary


def test_bodies_leave_out_signature_and_docstring_and_classes_are_outlined() -> None:
    found = parse(
        '''
    class Model(Base, metaclass=Meta):
        """A model."""
        size: int = 3
        table = {NUMBERS}
        """About the table."""
        if FAST:
            @cached
            def go(self, x, *, y=1) -> int:
                """Go."""
                z = x + y
                return z
        class Inner(Other): ...

    async def run(a, /, b: str = "x", **kw) -> None:
        "Run."
        await a(b)

    def nothing(): "Only words."
    '''.replace("NUMBERS", ", ".join(map(str, range(500))))
    )
    assert found["Model"].signature == "class Model(Base, metaclass=Meta)"
    lines = found["Model"].body.split("\n")
    assert lines[0] == "size: int = 3"
    assert lines[1].startswith("table = {0, 1") and len(lines[1]) == 203
    assert lines[2:] == ["@cached", "def go(self, x, *, y=1) -> int: ...", "class Inner(Other): ..."]
    assert found["Model.go"].body == "z = x + y\nreturn z"
    assert found["Model.go"].lines == 4
    assert found["run"].signature == "async def run(a, /, b: str='x', **kw) -> None"
    assert found["run"].body == "await a(b)"
    assert found["nothing"].body == ""


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=8), st.booleans())
def test_names_are_those_that_running_the_file_leaves(names: list[str], in_class: bool) -> None:
    """Of any sequence of definitions, the ones kept are those that Python itself ends with."""
    body = "\n".join(f"def {name}(): return {place}" for place, name in enumerate(names)) or "pass"
    source = f"class K:\n{textwrap.indent(body, '    ')}" if in_class else body
    namespace: dict[str, object] = {}
    exec(source, namespace)
    holder = vars(namespace["K"]) if in_class else namespace
    expected = {name: holder[name]() for name in {"a", "b", "c"} & set(holder)}  # type: ignore[operator]
    found = [one for one in parse_definitions(source.encode()) if one.kind != "class"]
    assert {one.node.name: ast.literal_eval(one.body.removeprefix("return ")) for one in found} == expected
