"""The command line on a project of a test's own, and what must hold when it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from vector_assets.assets import resources
from vector_assets.cli import main

DECLARATION = """type: vector_assets.CollectionComponent
attributes:
  name: {name}
  source: {{kind: file, path: rows.jsonl}}
  fields: {{text: text}}
  spaces:
    text: {{fields: [text], encoder: {model}}}
"""
GOOD = '{"id": "a", "text": "b1"}\n{"id": "b", "text": "b2"}\n'


@dataclass
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@dataclass
class Project:
    """A project on disk, and the command line on it."""

    root: Path
    name: str
    home: Path
    capsys: pytest.CaptureFixture[str]

    @property
    def folder(self) -> Path:
        return self.root / "defs" / self.name

    def write(self, declaration: str = DECLARATION, *, rows: str | None = GOOD, model: str = "minilm") -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "defs.yaml").write_text(declaration.format(name=self.name, model=model))
        if rows is not None:
            (self.folder / "rows.jsonl").write_text(rows)

    def command(self, *arguments: str, **environment: str) -> Done:
        """Run the command line in this process, which saves its imports; the environment is as before afterwards."""
        before, argv = dict(os.environ), sys.argv
        self.capsys.readouterr()
        resources._workspace.cache_clear()
        try:
            os.environ.clear()
            os.environ.update(self.environment(environment))
            sys.argv = ["vector-assets", *self.arguments(arguments)]
            with pytest.raises(SystemExit) as stopped:
                main()
        finally:
            sys.argv = argv
            os.environ.clear()
            os.environ.update(before)
            resources._workspace.cache_clear()
        said = self.capsys.readouterr()
        return Done(int(stopped.value.code or 0), said.out, said.err)

    def process(self, *arguments: str, **environment: str) -> Done:
        """Run the command line as people do."""
        done = subprocess.run(
            [sys.executable, "-m", "vector_assets.cli", *self.arguments(arguments)],
            env=self.environment(environment), capture_output=True, text=True, check=False, cwd=self.root,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def arguments(self, given: Sequence[str]) -> list[str]:
        return [*given, "--project", str(self.root)]

    def environment(self, more: Mapping[str, str]) -> dict[str, str]:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("VECTOR_ASSETS_", "DAGSTER_"))}
        return {**clean, "VECTOR_ASSETS_HOME": str(self.home), **more}


def refused(done: Done, *words: str) -> str:
    """The one line; everything that a person needs is in it."""
    said = done.stderr.strip()
    assert done.returncode == 2, (done.returncode, done.stdout, said)
    assert "Traceback" not in said + done.stdout
    last = said.splitlines()[-1]
    assert last.startswith("error: "), said
    for word in words:
        assert word in last, (word, last)
    return last
