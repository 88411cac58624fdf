"""What pydantic found wrong, as lines a person can act on: ``file:line: key.path: problem; expected ...``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from vector_assets.spec.shape import Loc, describe, inner_models, model_at, tag_of
from vector_assets.spec.yaml_tree import Path, Tree

_LEADING_PATH = re.compile(r"([\w.]+): (.*)", re.DOTALL)
_QUOTED = re.compile(r"'([^']*)'")
_MISSING = "is missing"
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a declaration."""

    where: str
    line: int
    path: Path
    message: str

    def __str__(self) -> str:
        path = ".".join(map(str, self.path))
        return f"{self.where}:{self.line}: {path + ': ' if path else ''}{self.message}"


@dataclass(frozen=True, slots=True)
class _Finding:
    path: Path
    problem: str
    expected: str
    is_unknown_key: bool = False
    meant: Path | None = None


def problems_of(
    error: ValidationError, model: type[BaseModel], tree: Tree, root: Path, where: str
) -> tuple[Problem, ...]:
    """Return the problems in the order of the file, one per key; ``root`` is where the model's data starts."""
    data = tree.data
    for part in root:
        data = data[part] if isinstance(data, dict) and isinstance(part, str) else None
    findings = [_finding(details, model, data) for details in error.errors()]
    # A misspelt key is one problem, not also the absence of the key that was meant.
    meant = {finding.meant for finding in findings}
    findings = [finding for finding in findings if finding.problem != _MISSING or finding.path not in meant]
    merged: dict[Path, list[_Finding]] = {}
    for finding in findings:
        # A union reports every branch; where the value is a mapping, what is wrong inside it is what was meant.
        inside = any(len(other.path) > len(finding.path) and _starts(other.path, finding.path) for other in findings)
        if not (inside and isinstance(_at(data, finding.path), dict | list)):
            merged.setdefault(finding.path, []).append(finding)
    groups = sorted(merged.items(), key=lambda item: (tree.line((*root, *item[0])), not item[1][0].is_unknown_key))
    return tuple(Problem(where, tree.line((*root, *path)), path, _message(group)) for path, group in groups)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean X?`` when one of the known words is close, else nothing."""
    close = _closest(word, known)
    return f"; did you mean {close[0]}?" if close else ""


def _closest(word: str, known: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)


def _message(group: Sequence[_Finding]) -> str:
    expected = " or ".join(dict.fromkeys(finding.expected for finding in group if finding.expected))
    return f"{group[0].problem}; expected {expected}" if expected else group[0].problem


def _finding(details: ErrorDetails, model: type[BaseModel], data: object) -> _Finding:
    loc = tuple(details["loc"])
    kind, given = details["type"], details["input"]
    path = _path(loc, data, keep_last=kind == "missing")
    context: Mapping[str, object] = details.get("ctx") or {}
    message = details["msg"].removeprefix("Value error, ")
    if kind == "extra_forbidden":
        owner = model_at(model, loc[:-1])
        known = list(owner.model_fields) if owner else []
        word = str(loc[-1])
        meant = (*path[:-1], *_closest(word, known)) if _closest(word, known) else None
        return _Finding(
            path, f"unknown key{did_you_mean(word, known)}", _one_of(known), is_unknown_key=True, meant=meant
        )
    if kind == "missing":
        owner = model_at(model, loc[:-1])
        field = owner.model_fields.get(str(loc[-1])) if owner else None
        is_nested = field is not None and inner_models(field.annotation)
        return _Finding(path, _MISSING, describe(field.annotation) if field and not is_nested else "a mapping")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        known = _QUOTED.findall(str(context.get("expected_tags", ""))) or _kinds(model, loc)
        if kind == "union_tag_not_found":
            return _Finding((*path, "kind"), _MISSING, _one_of(known))
        tag = str(context.get("tag", ""))
        return _Finding((*path, "kind"), f"found {tag!r}{did_you_mean(tag, known)}", _one_of(known))
    if kind == "literal_error":
        known = _QUOTED.findall(str(context.get("expected", "")))
        hint = did_you_mean(given, known) if isinstance(given, str) else ""
        return _Finding(path, f"found {_shown(given)}{hint}", _one_of(known))
    if kind == "value_error":
        return _of_validator(path, message, given, data)
    return _Finding(path, f"found {_shown(given)}", _expected(message))


def _of_validator(path: Path, message: str, given: object, data: object) -> _Finding:
    """Read a validator's message: of one value it says what that must be; of a model it names the key itself."""
    if "secrets" in message:
        return _Finding(path, "is written out", "a reference" + message.removeprefix("must be a reference"))
    if message.startswith("must "):
        return _Finding(path, f"found {_shown(given)}", "to " + message.removeprefix("must "))
    named = _LEADING_PATH.fullmatch(message)
    if named:
        inner = _path((*path, *named[1].split(".")), data, keep_last=False)
        if len(inner) > len(path):
            return _Finding(inner, named[2], "")
    return _Finding(path, message, "")


def _path(loc: Loc, data: object, *, keep_last: bool) -> Path:
    """Turn a location into the keys of the file: tags of unions and names of classes are not in it."""
    path: list[str | int] = []
    current = data
    for index, part in enumerate(loc):
        if isinstance(current, dict) and part in current:
            current = current[str(part)]
        elif isinstance(current, list) and isinstance(part, int) and part < len(current):
            current = current[part]
        elif not (keep_last and index == len(loc) - 1):
            continue
        path.append(part)
    return tuple(path)


def _kinds(model: type[BaseModel], loc: Loc) -> list[str]:
    owner = model_at(model, loc[:-1])
    field = owner.model_fields.get(str(loc[-1])) if owner and loc else None
    return [tag for inner in inner_models(field.annotation if field else None) if (tag := tag_of(inner))]


def _expected(message: str) -> str:
    text = message.partition(", unable")[0].partition(", got")[0].removesuffix(" after validation")
    text = text.removeprefix("Input should be ").removeprefix("Input should ")
    if " should " in text:
        text = text.partition(" should ")[2].partition(" after validation")[0].removeprefix("have ")
    text = re.sub(r"a valid dictionary( or .*)?$", "a mapping", text)
    return (
        text.replace("a valid string", "text")
        .replace("a valid ", "a ")
        .replace("a integer", "a whole number")
        .replace("a boolean", "true or false")
    )


def _one_of(known: Sequence[str]) -> str:
    return f"one of {', '.join(known)}" if len(known) > 1 else ", ".join(known)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        name = "a mapping" if isinstance(value, dict) else "a list"
        return name if value else f"an empty {name.removeprefix('a ')}"
    text = (
        {None: "nothing", True: "true", False: "false"}.get(value) if value is None or isinstance(value, bool) else None
    )
    shown = text or repr(value)
    return shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"


def _at(data: object, path: Path) -> object:
    for part in path:
        try:
            data = data[part]  # type: ignore[index]  # what cannot be indexed is the TypeError
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _starts(path: Path, prefix: Path) -> bool:
    return path[: len(prefix)] == prefix
