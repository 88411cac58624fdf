"""YAML as plain data that remembers its lines. Templates are rendered on the way; nothing else is interpreted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import yaml

from vector_assets.spec.template import TemplateFault, render

Path = tuple[str | int, ...]
Data = str | int | float | bool | None | list["Data"] | dict[str, "Data"]

_TAG = "tag:yaml.org,2002:"
_SCALARS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null")}
#: Far above any declaration; what passes it is a bomb of aliases.
_MOST_NODES = 20_000


class YamlFault(Exception):
    """The text is no YAML that we read: where, which key, and what was expected."""

    def __init__(self, line: int, path: Path, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.path = path


@dataclass(frozen=True, slots=True)
class Tree:
    """The data of one document, and the line of each key and item."""

    data: Data
    lines: Mapping[Path, int]

    def line(self, path: Path) -> int:
        """Return the line of a path, or of the nearest key above it that exists."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]


class _Loader(yaml.SafeLoader):
    """SafeLoader without dates: they are text here, and the model says what it expects."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != f"{_TAG}timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_tree(text: str, *, render_templates: bool = True, as_written: Collection[Path] = ()) -> Tree:
    """Read one YAML document. Raises YamlFault for bad syntax, duplicate keys, tags, or a template that fails.

    Templates at the paths ``as_written`` are not rendered: the model holds the reference, never the secret. ``*`` in
    such a path stands for any key.
    """
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            raise YamlFault(1, (), "is empty; expected type: and attributes:")
        reader = _TreeReader(loader, render_templates, as_written)
        return Tree(data=reader.read(node, ()), lines=reader.lines)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join(part for part in (error.problem, error.context) if part)
        if error.context and "single document" in error.context:
            problem = "a second document starts here; expected one document in a file"
        else:
            problem = f"not YAML ({' '.join(problem.split())}); expected key: value with even indentation"
        raise YamlFault(mark.line + 1 if mark else 1, (), problem) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise YamlFault(
            line, (), f"the character U+{int(error.character):04X} is not allowed; expected plain text"
        ) from error
    except RecursionError as error:
        raise YamlFault(1, (), "is nested too deeply; expected a declaration of some levels") from error
    finally:
        if loader is not None:
            loader.dispose()


class _TreeReader:
    def __init__(self, loader: _Loader, render_templates: bool, as_written: Collection[Path]) -> None:
        self._loader = loader
        self._as_written = as_written
        self._render_templates = render_templates
        self._open: set[int] = set()
        self._nodes = 0
        self.lines: dict[Path, int] = {(): 1}

    def read(self, node: yaml.Node, path: Path) -> Data:
        self._nodes += 1
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if id(node) in self._open or self._nodes > _MOST_NODES:
            raise YamlFault(line, path, "aliases that contain themselves or multiply; expected values written out")
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
                return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
            if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
                return self._scalar(node, path)
        finally:
            self._open.discard(id(node))
        raise YamlFault(line, path, f"the tag {node.tag.replace(_TAG, '!!')} is not read; expected a plain value")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> Data:
        data: dict[str, Data] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlFault(line, path, "a key is a list or a mapping; expected text ({{ env.NAME }} needs quotes)")
            # Keys are taken as they are written: `no: text` is a column called no, not False.
            key = str(key_node.value)
            if key in data:
                first = self.lines[(*path, key)]
                raise YamlFault(line, (*path, key), f"stands twice, first in line {first}; expected each key once")
            self.lines[(*path, key)] = line
            data[key] = self.read(value_node, (*path, key))
        return data

    def _is_as_written(self, path: Path) -> bool:
        return any(
            len(kept) == len(path) and all(want in ("*", part) for want, part in zip(kept, path, strict=True))
            for kept in self._as_written
        )

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> Data:
        line = node.start_mark.line + 1
        if node.tag == f"{_TAG}str":
            try:
                is_rendered = self._render_templates and not self._is_as_written(path)
                value = render(str(node.value)) if is_rendered else str(node.value)
            except TemplateFault as error:
                raise YamlFault(line, path, str(error)) from error
        else:
            try:
                value = self._loader.construct_object(node)
            except ValueError as error:
                raise YamlFault(
                    line, path, f"{node.value!r} is not a value ({error}); expected a plain value"
                ) from error
        return value if isinstance(value, str | int | float | bool) else None
