"""Writing a whole new project, which Dagster's dg and we both load."""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path

from vector_assets.errors import SpecError
from vector_assets.spec.project import Project

_PYPROJECT = """\
[project]
name = "{package}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["vector_assets"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "{package}"
"""

_DEFINITIONS = '''\
"""What Dagster loads: every collection declared below defs/."""

from pathlib import Path

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Load defs/."""
    return dg.load_from_defs_folder(path_within_project=Path(__file__).parent)
'''

_README = """\
# {package}

Collections of rows, made searchable by vector_assets. Each is one file, `{package}/defs/<collection>/defs.yaml`.

    vector-assets new papers --from papers.jsonl    # writes a declaration from a file or table
    vector-assets check                             # finds what is wrong in the declarations
    vector-assets materialize papers                # rows -> vectors -> index
    vector-assets search papers "a question"
    vector-assets up                                # the Dagster and MLflow pages

Run them in this folder with `--project .`, or set `VECTOR_ASSETS_PROJECT`.
"""

_IGNORED = """\
.vector_assets/
.venv/
__pycache__/
.env
"""


def init_project(folder: Path) -> Project:
    """Write a new project. Raises SpecError, with nothing written, where one of its files exists already."""
    root = folder.expanduser().absolute()
    if root.exists() and not root.is_dir():
        raise SpecError(f"{root}: is a file; expected a folder, new or without a project in it")
    package = package_name(root.name)
    files = {
        "pyproject.toml": _PYPROJECT.format(package=package),
        f"{package}/__init__.py": '"""Collections of this project, see defs/."""\n',
        f"{package}/definitions.py": _DEFINITIONS,
        f"{package}/defs/.gitkeep": "",
        ".gitignore": _IGNORED,
        "README.md": _README.format(package=package),
    }
    taken = [name for name in files if (root / name).exists()]
    if taken:
        raise SpecError(f"{root}: has {', '.join(taken)} already; expected a folder without them, nothing was written")
    for name, content in files.items():
        file = root / name
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # "x": a file that appears meanwhile is not overwritten either.
            with file.open("x", encoding="utf-8") as stream:
                stream.write(content)
        except OSError as error:
            raise SpecError(f"{file}: cannot be written ({error.strerror}); expected a folder to write in") from error
    return Project(root)


def package_name(folder: str) -> str:
    """Return a name that Python can import, made of a folder's, and not one that would hide another module."""
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_") or "project"
    if name[0].isdigit() or keyword.iskeyword(name) or name in sys.stdlib_module_names or name in _TAKEN:
        return f"project_{name}"
    return name


_TAKEN = frozenset({"dagster", "defs", "mlflow", "src", "test", "tests", "vector_assets"})
