"""The shape of the models: which keys stand where. Errors and the reference page read it, so neither repeats it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from types import NoneType, UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel

Loc = tuple[str | int, ...]


def model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel] | None:
    """Return the model that an error of pydantic speaks of, following keys, tags and names of classes in ``loc``."""
    found: list[object] = [model]
    for part in loc:
        found = [inner for annotation in found for inner in _step(annotation, part)]
    models = list(dict.fromkeys(kind for annotation in found for kind in models_in(annotation)))
    return models[0] if len(models) == 1 else None


def models_in(annotation: object) -> list[type[BaseModel]]:
    """Return the models that a value of this annotation may directly be."""
    return [part for part in _alternatives(annotation) if isinstance(part, type) and issubclass(part, BaseModel)]


def describe(annotation: object) -> str:
    """Return a type in words: ``text``, ``number``, ``list of text``, ``one of a, b``, or the name of a model."""
    words = [word for part in _alternatives(annotation) if (word := _word(part))]
    return " or ".join(dict.fromkeys(words))


def inner_models(annotation: object) -> list[type[BaseModel]]:
    """Return the models below an annotation, also as values of a mapping or items of a list."""
    found = models_in(annotation)
    for part in _alternatives(annotation):
        for argument in get_args(part) if get_origin(part) in (dict, list) else ():
            found += inner_models(argument)
    return found


def tag_of(model: type[BaseModel]) -> str | None:
    """Return the ``kind`` that chooses this model, None when it has none."""
    kind = model.model_fields.get("kind")
    return str(get_args(kind.annotation)[0]) if kind and get_origin(kind.annotation) is Literal else None


def _step(annotation: object, part: str | int) -> Iterator[object]:
    for alternative in _alternatives(annotation):
        origin, arguments = get_origin(alternative), get_args(alternative)
        if isinstance(alternative, type) and issubclass(alternative, BaseModel):
            if part in alternative.model_fields:
                yield alternative.model_fields[str(part)].annotation
            elif part in (tag_of(alternative), alternative.__name__):
                yield alternative
        elif origin is dict and isinstance(part, str):
            yield arguments[1]
        elif origin is list and isinstance(part, int):
            yield arguments[0]


def _alternatives(annotation: object) -> list[object]:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _alternatives(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [part for argument in get_args(annotation) for part in _alternatives(argument)]
    return [annotation]


_WORDS = {
    date: "a date such as 2026-01-31",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    NoneType: "",
}


def _word(part: object) -> str:
    origin, arguments = get_origin(part), get_args(part)
    if origin is Literal:
        shown = ", ".join(map(str, arguments))
        return shown if len(arguments) == 1 else f"one of {shown}"
    if origin is list:
        return f"list of {describe(arguments[0])}"
    if origin is dict:
        return f"mapping of name to {describe(arguments[1])}"
    if isinstance(part, type) and issubclass(part, BaseModel):
        return part.__name__
    return _WORDS[part] if isinstance(part, type) and part in _WORDS else str(part)
