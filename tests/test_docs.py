"""What the documents say of commands, variables and files is true."""

import re
from pathlib import Path

import pytest
import typer

from vector_assets.cli import app
from vector_assets.spec.load import load_text

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = typer.main.get_command(app).commands


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"`{name}\b|`(?:[^`]*, )?{name} ", README) or f" {name} " in README


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_and_option_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_speaks_json(name: str) -> None:
    assert "--json" in [option for parameter in COMMANDS[name].params for option in parameter.opts]


def test_variables_in_the_readme_are_read_somewhere() -> None:
    source = "".join(path.read_text() for path in (ROOT / "vector_assets").rglob("*.py"))
    unread = [name for name in set(re.findall(r"VECTOR_ASSETS_[A-Z0-9_]+", README)) if f'"{name}"' not in source]
    assert unread == []


def test_declarations_in_the_readme_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", README, flags=re.S)
    assert blocks
    for block in blocks:
        assert load_text(block, "README.md", tmp_path).spaces


def test_links_between_documents_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_files_name_no_machine() -> None:
    texts = [ROOT / "README.md", ROOT / "constraints.txt", ROOT / "pyproject.toml", *(ROOT / "docs").glob("*.md")]
    for path in texts:
        assert not re.search(r"(^|[\s'\"(])/(root|home|tmp|mnt)/|file://", path.read_text()), path.name
