"""The rules of the house (docs/architecture.md), held over the syntax tree of every file."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import vector_assets

PACKAGE = Path(vector_assets.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

#: Imports run from right to left only. What stands together does not import each other, but for the last line.
ORDER = (
    ("errors",),
    ("records", "spec"),
    ("metrics", "runtime"),
    ("source",),
    ("encoder",),
    ("training",),
    ("embedding",),
    ("index",),
    ("search",),
    ("labelling",),
    ("stores",),
    ("assets", "web", "cli", "commands", "api", "collection_client", "show", "definitions"),
)
PLACE = {name: place for place, names in enumerate(ORDER) for name in names}
LAST = len(ORDER) - 1

#: Who may import what of others: a folder, or one file.
KEPT_TO = {
    "dagster": {"assets", "definitions"},
    "dagster_postgres": {"assets"},
    "dagster_webserver": {"assets"},
    "sqlalchemy": {"stores", "source/postgres.py", "source/sql.py", "source/sql_connection.py"},
    "psycopg": {"stores", "source/postgres.py", "source/sql.py", "source/table_queue.py"},
    "kombu": {"source/broker.py"},
    "optuna": {"training"},
    "spacy": {"source/spacy_sentences.py"},
    "psycopg2": {"stores"},
    "pgvector": {"stores", "source/postgres.py", "source/sql.py"},
    "mlflow": {"stores"},
    "PIL": {"encoder"},
    "torch": {"encoder", "training"},
    "transformers": {"encoder", "training"},
    "sentence_transformers": {"encoder", "training"},
    "typer": {"cli", "commands"},
}
#: The supervisor asks whether the server answers; a connection is the only truth there is.
EXCEPTIONS = {("runtime", "psycopg")}


def part(file: Path) -> str:
    """The folder or file of the package that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imported(file: Path) -> set[str]:
    """Every module that is imported anywhere in a file, inside functions as well."""
    found = set()
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def shown(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


@pytest.mark.parametrize("file", FILES, ids=shown)
def test_imports_run_one_way(file: Path) -> None:
    own = part(file)
    if own == "__init__":
        return
    assert own in PLACE, f"{own} has no place in the order of imports"
    for name in imported(file):
        if name.startswith("vector_assets."):
            other = name.split(".")[1]
            if other in PLACE and other != own and not PLACE[own] == PLACE[other] == LAST:
                assert PLACE[other] < PLACE[own], f"{shown(file)} imports {name}"
            if own == "runtime" and other in PLACE:
                assert other in ("errors", "spec", "runtime"), f"runtime is a leaf, but {shown(file)} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=shown)
def test_a_library_is_kept_to_its_place(file: Path) -> None:
    for name in imported(file):
        library = name.split(".")[0]
        allowed = KEPT_TO.get(library)
        if allowed is None or (part(file), library) in EXCEPTIONS:
            continue
        assert part(file) in allowed or shown(file) in allowed, f"{shown(file)} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=shown)
def test_a_file_is_short_and_finished(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400, "over 400 lines"
    assert "TODO" not in text
    assert "raise NotImplementedError" not in text
    assert ast.get_docstring(tree(file)), "no docstring"
    if shown(file) != "commands/common.py":
        calls = [
            node.func.id
            for node in ast.walk(tree(file))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        ]
        assert "print" not in calls


def test_assets_have_no_postponed_annotations() -> None:
    """Dagster reads the annotations of configuration when it loads."""
    for file in (PACKAGE / "assets").glob("*.py"):
        assert "from __future__ import annotations" not in file.read_text(), shown(file)


def test_no_sql_is_made_by_string_formatting() -> None:
    """Identifiers are composed."""
    words = ("select ", "insert into ", "update ", "delete from ", "create ", "drop ", "alter ")
    found = [
        f"{shown(file)}:{node.lineno}"
        for file in (PACKAGE / "stores").rglob("*.py")
        for node in ast.walk(tree(file))
        if isinstance(node, ast.JoinedStr)
        and isinstance(node.values[0], ast.Constant)
        and str(node.values[0].value).startswith(words)
    ]
    assert found == []


def test_loading_the_definitions_imports_no_heavy_library() -> None:
    code = (
        "import sys, vector_assets.definitions as d; d.defs(); "
        "heavy = ('torch', 'transformers', 'sentence_transformers', 'mlflow', 'sklearn', 'umap', 'matplotlib', 'PIL'); "
        "sys.exit(' '.join(name for name in heavy if name in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import sys, vector_assets; "
        "sys.exit(' '.join(n for n in ('dagster', 'pydantic', 'numpy') if n in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_public_names_are_sorted_and_there() -> None:
    assert sorted(vector_assets.__all__) == vector_assets.__all__ == dir(vector_assets)
    for name in vector_assets.__all__:
        assert getattr(vector_assets, name)
    with pytest.raises(AttributeError):
        _ = vector_assets.no_such_name  # type: ignore[attr-defined]


def test_every_error_has_an_exit_code_and_a_place_in_the_drawing() -> None:
    errors = importlib.import_module("vector_assets.errors")
    classes = [value for value in vars(errors).values() if isinstance(value, type)]
    for cls in classes:
        assert cls.__name__ in (errors.__doc__ or "")
        assert cls.exit_code == (2 if issubclass(cls, errors.UserError) else 1)
