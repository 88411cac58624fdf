"""From a defs.yaml to a Collection. Every error is one line that names file, line, key and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from vector_assets.errors import SpecError
from vector_assets.spec.collection import Collection
from vector_assets.spec.problems import Problem, did_you_mean, problems_of
from vector_assets.spec.yaml_tree import Data, Tree, YamlFault, read_tree

COMPONENT = "vector_assets.CollectionComponent"
_TOP_KEYS = ("type", "attributes")
#: Where references to secrets stand; they are resolved by whoever connects.
_SECRETS = frozenset({
    ("attributes", "source", "url"),
    ("attributes", "spaces", "*", "train", "clicks", "url"),
    ("attributes", "spaces", "*", "train", "labels", "url"),
})  # fmt: skip


def load_collection(path: Path) -> Collection:
    """Read a defs.yaml; its relative paths start from its folder. Raises SpecError."""
    return load_text(read_declaration(path), str(path), path.absolute().parent)


def load_text(text: str, where: str, folder: Path) -> Collection:
    """Read a declaration from its text; ``where`` is what messages call it. Raises SpecError with the first problem."""
    found = _read(text, where, folder)
    if isinstance(found, Collection):
        return found
    others = len(found) - 1
    more = f" (and {others} more problem{'s' if others > 1 else ''})" if others else ""
    raise SpecError(f"{found[0]}{more}")


def find_problems(text: str, where: str) -> tuple[Problem, ...]:
    """Return everything wrong with a declaration, in the order of the file; nothing when it can be loaded."""
    found = _read(text, where, Path())
    return () if isinstance(found, Collection) else found


def read_declaration(path: Path) -> str:
    """Return the text of a declaration. Raises SpecError when there is none or it is not text."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; expected a declaration, defs/<collection>/defs.yaml") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpecError(f"{path}:{line}: not UTF-8 at byte {error.start}; expected UTF-8 text") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read ({error.strerror}); expected a declaration") from error


def _read(text: str, where: str, folder: Path) -> Collection | tuple[Problem, ...]:
    try:
        tree = read_tree(text, as_written=_SECRETS)
    except YamlFault as fault:
        return (Problem(where, fault.line, _below_attributes(fault.path), str(fault)),)
    wrong = _wrong_top(tree, where)
    if wrong:
        return (wrong,)
    attributes = tree.data["attributes"] if isinstance(tree.data, dict) else None
    try:
        return Collection.model_validate(attributes).at(folder)
    except ValidationError as error:
        return problems_of(error, Collection, tree, ("attributes",), where)


def _wrong_top(tree: Tree, where: str) -> Problem | None:
    """Return what is wrong outside the attributes: Dagster's part of the file."""
    if not isinstance(tree.data, dict):
        return Problem(where, 1, (), "found no keys; expected type: and attributes:")
    top: Mapping[str, Data] = tree.data
    for key in top:
        if key not in _TOP_KEYS:
            message = f"unknown key{did_you_mean(key, _TOP_KEYS)}; expected type and attributes"
            return Problem(where, tree.line((key,)), (key,), message)
    if "type" not in top:
        return Problem(where, 1, ("type",), f"is missing; expected {COMPONENT}")
    if top["type"] != COMPONENT:
        return Problem(where, tree.line(("type",)), ("type",), f"found {top['type']!r}; expected {COMPONENT}")
    if "attributes" not in top:
        return Problem(where, 1, ("attributes",), "is missing; expected the declaration of a collection")
    return None


def _below_attributes(path: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return path[1:] if path[:1] == ("attributes",) else path
