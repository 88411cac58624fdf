"""docs/declaration.md is what the models say."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from vector_assets.spec import Collection
from vector_assets.spec.load import load_text
from vector_assets.spec.reference import EXAMPLE, render_reference
from vector_assets.spec.shape import inner_models, model_at

PAGE = Path(__file__).parents[2] / "docs" / "declaration.md"


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_reference(), "run python -m vector_assets.spec.reference"


def test_its_example_loads_and_is_on_the_page() -> None:
    assert load_text(EXAMPLE, "example", Path()).name == "papers"
    assert EXAMPLE in render_reference()


def test_every_key_of_every_model_is_on_the_page_with_a_meaning() -> None:
    page = render_reference()

    def visit(model: type[BaseModel]) -> None:
        section = page.split(f"### {model.__name__}\n")[1].split("\n### ")[0]
        for name, field in model.model_fields.items():
            (row,) = [line for line in section.splitlines() if line.startswith(f"| `{name}` |")]
            assert all(cell.strip() for cell in row.strip("|").split(" | ")), row
            for inner in inner_models(field.annotation):
                visit(inner)

    visit(Collection)


def test_models_are_found_by_the_places_that_pydantic_names() -> None:
    for loc, name in (
        ((), "Collection"),
        (("source", "file"), "FileSource"),
        (("spaces", "any", "train", "pairs", "FieldPairs"), "FieldPairs"),
        (("index",), "Index"),
    ):
        found = model_at(Collection, loc)
        assert found is not None and found.__name__ == name
    assert model_at(Collection, ("fields", "x")) is None
