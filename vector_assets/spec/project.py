"""A project: a folder with one declaration per collection, in Dagster's layout."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vector_assets.errors import NotFound, SpecError
from vector_assets.spec.collection import Collection
from vector_assets.spec.load import load_text, read_declaration
from vector_assets.spec.problems import did_you_mean
from vector_assets.spec.yaml_tree import YamlFault, read_tree

VARIABLE = "VECTOR_ASSETS_PROJECT"
BUNDLED = Path(__file__).resolve().parents[1] / "examples"


@dataclass(frozen=True, slots=True)
class Project:
    """A folder of declarations: ``defs/<collection>/defs.yaml`` at its root or in its package."""

    root: Path

    def folders(self) -> tuple[Path, ...]:
        """Return the defs folders that exist: at the root, and in the package that pyproject.toml names."""
        package = Path(*self._root_module().split(".")) if self._root_module() else None
        folders = [self.root / "defs"]
        if package:
            folders += [self.root / "src" / package / "defs", self.root / package / "defs"]
        return tuple(folder for folder in folders if folder.is_dir())

    def declarations(self) -> tuple[Path, ...]:
        """Return the files that declare collections; components of other packages are not ours to read."""
        files = [file for folder in self.folders() for file in sorted(folder.glob("*/defs.yaml"))]
        return tuple(file for file in files if not _is_foreign(read_declaration(file)))

    def collections(self) -> tuple[Collection, ...]:
        """Return every collection, sorted by name. Raises SpecError for a wrong file or a name declared twice."""
        found: dict[str, tuple[Path, Collection]] = {}
        for file in self.declarations():
            collection = load_text(read_declaration(file), str(file), file.absolute().parent)
            if collection.name in found:
                first = found[collection.name][0]
                raise SpecError(f"{file}: name: {collection.name} is declared in {first} too; expected each name once")
            found[collection.name] = file, collection
        return tuple(found[name][1] for name in sorted(found))

    def collection(self, name: str) -> Collection:
        """Return one collection. Raises NotFound with the names there are."""
        collections = {collection.name: collection for collection in self.collections()}
        if name in collections:
            return collections[name]
        there = f"it has {', '.join(collections)}" if collections else "it has none, see vector-assets new"
        raise NotFound(f"no collection {name!r} in {self.root}{did_you_mean(name, collections)}; {there}")

    def new_file(self, name: str) -> Path:
        """Return where the declaration of a new collection belongs, in the package where there is one."""
        folders = self.folders()
        return (folders[-1] if folders else self.root / "defs") / name / "defs.yaml"

    def _root_module(self) -> str:
        file = self.root / "pyproject.toml"
        if not file.is_file():
            return ""
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SpecError(f"{file}: not TOML ({error}); expected a pyproject.toml") from error
        found: object = content
        for key in ("tool", "dg", "project", "root_module"):
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, str) else ""


def find_project(path: Path | None = None) -> Project:
    """Return the project at ``path``, else the one that VECTOR_ASSETS_PROJECT names, else the bundled one."""
    named = os.environ.get(VARIABLE)
    root, said = (path, "--project") if path else (Path(named), VARIABLE) if named else (BUNDLED, "the bundled project")
    project = Project(root.expanduser().absolute())
    if not project.root.is_dir():
        raise SpecError(f"{said}: {project.root} is no folder; expected a project, made by vector-assets init DIR")
    if not project.folders():
        raise SpecError(
            f"{said}: {project.root} has no defs folder; expected a project, made by vector-assets init DIR"
        )
    return project


@contextmanager
def in_project(root: Path | None) -> Iterator[None]:
    """Make a project that of everything that this process does, for a while; None leaves it as the environment says.

    What is set meanwhile for the workspace and for Dagster is taken back, so that another project may follow.
    """
    before = {name: value for name, value in os.environ.items() if _is_ours(name)}
    if root is not None:
        os.environ[VARIABLE] = str(root.expanduser().absolute())
    try:
        yield
    finally:
        for name in [name for name in os.environ if _is_ours(name) and name not in before]:
            del os.environ[name]
        os.environ.update(before)


def _is_ours(variable: str) -> bool:
    return variable.startswith("VECTOR_ASSETS_") or variable == "DAGSTER_HOME"


def _is_foreign(text: str) -> bool:
    """Tell whether a defs.yaml is another package's component. What cannot be read is taken as ours."""
    try:
        data = read_tree(text, render_templates=False).data
    except YamlFault:
        return False
    kind = data.get("type") if isinstance(data, dict) else None
    return isinstance(kind, str) and "." in kind and not kind.startswith("vector")
