"""The text of a new declaration, for people to read and change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from vector_assets.errors import SpecError
from vector_assets.spec.base import NAME
from vector_assets.spec.field import FieldType
from vector_assets.spec.load import COMPONENT

_FILTERABLE = ("category", "datetime", "number")


def render_declaration(
    name: str,
    source: Mapping[str, str],
    columns: Sequence[tuple[str, FieldType]],
    *,
    text: Sequence[str] | None = None,
    filters: Sequence[str] | None = None,
    left_out: Mapping[str, str] | None = None,
    image: str | None = None,
) -> str:
    """Return a declaration that loads as it is.

    ``columns`` are without the key's. ``text`` are those the vector is made of: the text columns when not given,
    else the categories; where there are none of both, of the images in the column ``image``. ``filters`` are suggested,
    in a comment. ``left_out`` tells why columns cannot be fields.
    """
    if not NAME.fullmatch(name):
        raise SpecError(
            f"name {name!r}; expected [a-z][a-z0-9_]{{0,39}}: a small letter, then small letters, digits or _"
        )
    kinds = dict(columns)
    read = (
        list(text) if text else [c for c in kinds if kinds[c] == "text"] or [c for c in kinds if kinds[c] == "category"]
    )
    if not read and not image:
        raise SpecError(f"{name}: no column holds text; expected at least one to make vectors of")
    wanted = list(filters) if filters is not None else [c for c in kinds if kinds[c] in _FILTERABLE]
    lines = [
        f"type: {COMPONENT}",
        "attributes:",
        f"  name: {name}",
        f"  source: {_flow(source)}",
        "  fields:                      # columns with their types: text, number, datetime, category or image",
        *(f"    {_scalar(column)}: {kind}" for column, kind in columns),
        *([f"    {_scalar(image)}: image"] if image and not read else []),
        *(f"    # {_comment(column)}: left out, {_comment(why)}" for column, why in (left_out or {}).items()),
    ]
    if wanted:
        lines.append(
            f"  # filters: {_flow(wanted)}    # fields copied beside the vectors, so that searches by them are fast"
        )
    lines.append("  spaces:")
    if read:
        lines += [
            "    text:",
            f"      fields: {_flow(read)}    # what the vector is made of, in this order",
            "      encoder: minilm          # or hf:owner/name@revision, ./folder, models:/NAME@alias",
        ]
    else:
        lines += [
            "    image:",
            "      kind: image",
            f"      fields: {_flow([str(image)])}",
            "      encoder: ./encoder       # a vision model's folder; or hf:owner/name@revision, models:/NAME@alias",
        ]
    lines += [
        "  # automation: {on_change: true}    # read the source again when it changes",
    ]
    return "\n".join(lines) + "\n"


def _flow(value: Mapping[str, str] | Sequence[str]) -> str:
    plain = dict(value) if isinstance(value, Mapping) else list(value)
    return yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**6).strip()


def _scalar(value: str) -> str:
    return _flow([value])[1:-1]


def _comment(text: str) -> str:
    return " ".join(text.split()).encode("ascii", "replace").decode()
