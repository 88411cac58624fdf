"""docs/declaration.md, written from the models, so that the page cannot say what the code does not do."""

from __future__ import annotations

import inspect
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from vector_assets.spec.collection import Collection
from vector_assets.spec.reference_text import EXAMPLE, INTRODUCTION
from vector_assets.spec.shape import describe, inner_models, tag_of
from vector_assets.spec.source import PYTHON_CODE_FIELDS


def render_reference() -> str:
    """Return the page: an example, what rows may hold, and one table per model."""
    fields = ",\n".join(f"`{name}` ({kind})" for name, kind in PYTHON_CODE_FIELDS.items())
    parts = [INTRODUCTION.format(example=EXAMPLE, python_fields=fields), "## Keys\n"]
    parts += [_section(model) for model in _reachable(Collection)]
    return "\n".join(parts)


def _reachable(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = {model: None}
    for field in model.model_fields.values():
        for inner in inner_models(field.annotation):
            found.update(dict.fromkeys(_reachable(inner)))
    return list(found)


def _section(model: type[BaseModel]) -> str:
    tag = tag_of(model)
    lines = [
        f"### {model.__name__}\n",
        inspect.cleandoc(model.__doc__ or "") + (f" Chosen by `kind: {tag}`." if tag else ""),
        "",
        "| key | type | default | what it is |",
        "| --- | --- | --- | --- |",
        *(_row(name, field) for name, field in model.model_fields.items()),
        "",
    ]
    return "\n".join(lines)


def _row(name: str, field: FieldInfo) -> str:
    kind = describe(field.annotation)
    for inner in inner_models(field.annotation):
        kind = kind.replace(inner.__name__, f"[{inner.__name__}](#{inner.__name__.lower()})")
    limits = ", ".join(filter(None, (_limit(constraint) for constraint in field.metadata)))
    cells = (f"`{name}`", kind + (f" ({limits})" if limits else ""), _default(field), _meaning(name, field))
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _meaning(name: str, field: FieldInfo) -> str:
    inner = inner_models(field.annotation)
    said = field.description or ("Chooses this model." if name == "kind" else "")
    return said or ((inner[0].__doc__ or "").strip().partition("\n")[0] if len(inner) == 1 else "One of these models.")


def _limit(constraint: object) -> str:
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return " ".join(f"{sign} {getattr(constraint, name)}" for name, sign in signs.items() if hasattr(constraint, name))


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True, validated_data={})
    if isinstance(value, BaseModel):
        return "its defaults"
    shown = (
        {None: "none", True: "`true`", False: "`false`"}.get(value)
        if value is None or isinstance(value, bool)
        else None
    )
    return shown or (f"`{value}`" if value not in ("", []) else "empty")


def main() -> None:
    """Write docs/declaration.md of this checkout."""
    page = Path(__file__).resolve().parents[2] / "docs" / "declaration.md"
    page.parent.mkdir(exist_ok=True)
    page.write_text(render_reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
