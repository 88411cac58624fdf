"""Projects: where declarations are found, names that clash, and a new project that dg and we both load."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vector_assets.errors import NotFound, SpecError
from vector_assets.spec import FieldType
from vector_assets.spec.declare import render_declaration
from vector_assets.spec.load import load_text
from vector_assets.spec.project import BUNDLED, Project, find_project
from vector_assets.spec.scaffold import init_project, package_name


def declare(folder: Path, name: str, text: str | None = None) -> Path:
    file = folder / name / "defs.yaml"
    file.parent.mkdir(parents=True)
    columns: list[tuple[str, FieldType]] = [("title", "text"), ("topic", "category")]
    file.write_text(text or render_declaration(name, {"kind": "file", "path": "a.jsonl"}, columns), encoding="utf-8")
    return file


def test_collections_are_found_at_the_root_and_in_the_package(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.dg.project]\nroot_module = "shop"\n')
    for folder, name in (("defs", "c"), ("shop/defs", "b"), ("src/shop/defs", "a")):
        declare(tmp_path / folder, name)
    (tmp_path / "defs" / "README.md").write_text("not a collection")
    declare(tmp_path / "defs", "foreign", "type: dagster_dbt.DbtProjectComponent\nattributes: {project: ../x}\n")
    project = Project(tmp_path)
    assert [collection.name for collection in project.collections()] == ["a", "b", "c"]
    assert project.collection("b").folder == tmp_path / "shop" / "defs" / "b"
    assert project.new_file("d") == tmp_path / "shop" / "defs" / "d" / "defs.yaml"


def test_an_unknown_collection_names_those_there_are(tmp_path: Path) -> None:
    project = Project(tmp_path)
    with pytest.raises(NotFound) as caught:
        project.collection("papers")
    assert str(caught.value) == f"no collection 'papers' in {tmp_path}; it has none, see vector-assets new"
    declare(tmp_path / "defs", "papers")
    declare(tmp_path / "defs", "things")
    with pytest.raises(NotFound) as caught:
        project.collection("paper")
    assert str(caught.value) == f"no collection 'paper' in {tmp_path}; did you mean papers?; it has papers, things"


def test_a_name_declared_twice_names_both_files(tmp_path: Path) -> None:
    first = declare(tmp_path / "defs", "papers")
    second = declare(tmp_path / "defs", "papers_again", first.read_text())
    with pytest.raises(SpecError) as caught:
        Project(tmp_path).collections()
    assert str(caught.value) == f"{second}: name: papers is declared in {first} too; expected each name once"


def test_a_misspelt_type_of_ours_is_not_passed_over(tmp_path: Path) -> None:
    file = declare(tmp_path / "defs", "papers", "type: vector_assets.ColectionComponent\nattributes: {}\n")
    with pytest.raises(
        SpecError, match=r":1: type: found 'vector_assets.ColectionComponent'; expected vector_assets.Coll"
    ):
        Project(tmp_path).collections()
    file.write_text("type: [\n")
    with pytest.raises(SpecError, match=r"defs.yaml:2: not YAML"):
        Project(tmp_path).collections()


def test_the_argument_goes_before_the_variable_and_that_before_the_bundled_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VECTOR_ASSETS_PROJECT", raising=False)
    one, two = tmp_path / "one", tmp_path / "two"
    declare(one / "defs", "papers")
    declare(two / "defs", "things")
    monkeypatch.setenv("VECTOR_ASSETS_PROJECT", str(two))
    assert find_project().root == two
    assert find_project(one).root == one
    monkeypatch.setenv("VECTOR_ASSETS_PROJECT", str(tmp_path / "none"))
    with pytest.raises(SpecError) as caught:
        find_project()
    assert str(caught.value) == (
        f"VECTOR_ASSETS_PROJECT: {tmp_path}/none is no folder; expected a project, made by vector-assets init DIR"
    )
    with pytest.raises(SpecError) as caught:
        find_project(tmp_path)
    assert (
        str(caught.value)
        == f"--project: {tmp_path} has no defs folder; expected a project, made by vector-assets init DIR"
    )
    monkeypatch.delenv("VECTOR_ASSETS_PROJECT")
    if BUNDLED.is_dir():
        assert find_project().root == BUNDLED


def test_a_new_project_is_whole_and_never_overwrites(tmp_path: Path) -> None:
    root = tmp_path / "my-papers"
    project = init_project(root)
    assert sorted(str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()) == [
        ".gitignore",
        "README.md",
        "my_papers/__init__.py",
        "my_papers/definitions.py",
        "my_papers/defs/.gitkeep",
        "pyproject.toml",
    ]
    assert project.folders() == (root / "my_papers" / "defs",)
    declare(project.folders()[0], "papers")
    assert [collection.name for collection in find_project(root).collections()] == ["papers"]
    with pytest.raises(SpecError) as caught:
        init_project(root)
    assert str(caught.value).startswith(f"{root}: has pyproject.toml, my_papers/__init__.py, ")
    other = tmp_path / "other"
    other.mkdir()
    (other / "README.md").write_text("mine")
    with pytest.raises(SpecError) as caught:
        init_project(other)
    assert str(caught.value) == f"{other}: has README.md already; expected a folder without them, nothing was written"
    assert [file.name for file in other.iterdir()] == ["README.md"]
    (other / "README.md").unlink()
    (other / "notes.txt").write_text("kept")
    assert init_project(other).root == other
    with pytest.raises(SpecError, match=r"is a file; expected a folder"):
        init_project(other / "notes.txt")


@pytest.mark.parametrize(
    ("folder", "package"),
    [
        ("Papers", "papers"),
        ("my-papers.v2", "my_papers_v2"),
        ("2026", "project_2026"),
        ("class", "project_class"),
        ("json", "project_json"),
        ("ä", "project"),
        ("tests", "project_tests"),
    ],
)
def test_packages_have_names_that_can_be_imported(folder: str, package: str) -> None:
    assert package_name(folder) == package


def test_dg_lists_the_definitions_of_a_new_project(tmp_path: Path) -> None:
    dg = shutil.which("dg", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if dg is None:
        pytest.skip("dg is not installed")
    folder = init_project(tmp_path / "my-papers").folders()[0]
    body = "def hello() -> dg.MaterializeResult:\n    return dg.MaterializeResult()\n"
    asset = f"import dagster as dg\n\n\n@dg.asset\n{body}"
    (folder / "greeting.py").write_text(asset)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path), "PATH": path}
    listed = subprocess.run(
        [dg, "list", "defs", "--json"], cwd=tmp_path / "my-papers", env=environment, capture_output=True, text=True
    )
    assert listed.returncode == 0, listed.stderr
    assert '"hello"' in listed.stdout


def test_a_declaration_of_a_table_loads_with_any_column_names() -> None:
    columns: list[tuple[str, FieldType]] = [
        ("title", "text"),
        ("no", "text"),
        ("a: b, [c]", "category"),
        ("# x", "number"),
        ("ä'\"", "datetime"),
    ]
    text = render_declaration(
        "papers", {"kind": "postgres", "table": "public.papers"}, columns, left_out={"raw\n": "no type"}
    )
    collection = load_text(text, "x", Path())
    assert list(collection.fields.items()) == columns
    assert collection.spaces["text"].fields == ["title", "no"]
    with pytest.raises(SpecError, match=r"^papers: no column holds text; expected at least one to make vectors of$"):
        render_declaration("papers", {"kind": "postgres", "table": "p"}, [("n", "number")])
    with pytest.raises(SpecError, match=r"^name 'Bad name'; expected \[a-z\]"):
        render_declaration("Bad name", {"kind": "postgres", "table": "p"}, [("t", "text")])
